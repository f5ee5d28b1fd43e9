import { $, call, draft, tried, up } from "./page.js";

$("yes")?.addEventListener("click", async () => {
  $("yes").disabled = true;
  $("busy").hidden = false;
  const well = await tried(async () => {
    const { run } = await call(`drafts/${draft}/buy`, { nonce: $("question").dataset.nonce });
    location.assign(`${up}runs/${run}`);
  });
  if (!well) $("busy").hidden = true;
});
