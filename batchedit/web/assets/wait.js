import { $, call, draft, finished, tried } from "./page.js";

const { step, failed } = $("wait").dataset;

if (failed) {
  $("again").addEventListener("click", () =>
    tried(async () => {
      await call(`drafts/${draft}/again`, { step });
      location.reload();
    }),
  );
} else {
  tried(async () => {
    await finished(step);
    location.reload();
  });
}
