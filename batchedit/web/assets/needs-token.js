// A step of a draft that needs a token: it is given here, and the step done anew.
import { $, call, draft, tried } from "./page.js";

$("token").addEventListener("submit", (event) => {
  event.preventDefault();
  tried(async () => {
    await call("token", { token: $("token-text").value });
    await call(`drafts/${draft}/again`, { step: $("token").dataset.step });
    location.reload();
  });
});
