import { $, call, tried } from "./page.js";

$("token")?.addEventListener("submit", (event) => {
  event.preventDefault();
  tried(async () => {
    await call("token", { token: $("token-text").value });
    location.reload();
  });
});

for (const button of document.querySelectorAll("[data-remove]")) {
  let sure = false;
  button.addEventListener("click", () => {
    if (!sure) {
      sure = true;
      button.textContent = "Remove its copy?";
      return;
    }
    tried(async () => {
      await call(`drafts/${button.dataset.remove}/remove`);
      location.reload();
    });
  });
}
