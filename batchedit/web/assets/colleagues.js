import { $, call, tried } from "./page.js";

const { run } = document.body.dataset;
const then = async (act) => (await tried(act)) && location.reload();

$("invite").addEventListener("submit", (event) => {
  event.preventDefault();
  then(() => call(`runs/${run}/invite`, { name: $("name").value }));
});
for (const button of document.querySelectorAll("[data-revoke]")) {
  button.addEventListener("click", () => then(() => call(`runs/${run}/revoke`, { name: button.dataset.revoke })));
}
