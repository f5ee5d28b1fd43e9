import { call, tried, up } from "./page.js";
import { question } from "./question.js";

const { run } = document.body.dataset;
const ask = question(run, { bought: () => location.assign(`${up}runs/${run}`) });

for (const card of document.querySelectorAll(".doubt")) {
  const { name } = card.dataset;
  card.querySelector("[data-buy]")?.addEventListener("click", (event) => ask(event.currentTarget, { what: "doubt", names: [name] }));
  card.querySelector("[data-give-up]").addEventListener("click", async (event) => {
    event.currentTarget.disabled = true;
    if (await tried(() => call(`runs/${run}/give-up`, { name }))) location.reload();
    else card.querySelector("[data-give-up]").disabled = false;
  });
}
