import { $, call, tried } from "./page.js";

const { run } = document.body.dataset;

$("make")?.addEventListener("click", async () => {
  $("make").disabled = true;
  $("busy").hidden = false;
  if (await tried(() => call(`runs/${run}/deliver`))) location.reload();
  $("make").disabled = false;
  $("busy").hidden = true;
});
