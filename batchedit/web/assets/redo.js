import { $, call, tried, up } from "./page.js";
import { question } from "./question.js";

const { run } = document.body.dataset;
const ask = question(run, { bought: () => location.assign(`${up}runs/${run}`) });
const keeping = new Set();

for (const note of document.querySelectorAll(".redo textarea")) {
  note.addEventListener("change", () => {
    const job = Number(note.closest(".redo").dataset.job);
    const kept = tried(() => call(`runs/${run}/note`, { job, note: note.value }));
    keeping.add(kept);
    kept.finally(() => keeping.delete(kept));
  });
}

$("redo")?.addEventListener("click", async () => {
  const kept = await Promise.all(keeping);
  if (kept.every(Boolean)) await ask($("redo"), { what: "redo", add: $("add")?.value || "" });
});
