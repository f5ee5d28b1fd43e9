import { $, call, choose, draft, finished, make, tried, again } from "./page.js";

const cells = JSON.parse($("cells").dataset.cells);
const map = JSON.parse($("cells").dataset.map);
const prompt = $("prompt");

for (const select of document.querySelectorAll("[data-map]:is(select)")) {
  select.addEventListener("change", () => {
    const name = select.dataset.map;
    const chosen = { ...map, [name]: select.value };
    const told = { map: chosen };
    if (name === "prompt") told.prompt = select.value ? null : `make an ad for {${cells[0] ? Object.keys(cells[0])[0] : ""}}`;
    tried(() => choose(told, "look"));
  });
}

// A row's cells in the text, each in a mark of its own. The server makes the prompts that are sent; this is to see while writing.
function filled(text, row) {
  const parts = [];
  let place = 0;
  for (const found of text.matchAll(/\{\{|\}\}|\{([^{}]*)\}/g)) {
    parts.push(text.slice(place, found.index));
    place = found.index + found[0].length;
    if (found[1] === undefined) parts.push(found[0][0]);
    else parts.push(make("mark", {}, row[found[1].trim()] || `{${found[1]}}`));
  }
  parts.push(text.slice(place));
  return parts;
}

function showExamples() {
  $("examples").replaceChildren(...cells.map((row) => make("li", {}, ...filled(prompt.value, row))));
}

async function keep() {
  const { prompt: _, ...others } = map;
  await call(`drafts/${draft}/choices`, { prompt: prompt.value.trim() || null, map: others });
  await finished("look");
  again();
}

if (prompt) {
  showExamples();
  prompt.addEventListener("input", showExamples);
  $("keep").addEventListener("click", () => tried(keep));
  prompt.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) tried(keep);
  });
  for (const chip of document.querySelectorAll("[data-put]")) {
    chip.addEventListener("click", () => {
      prompt.setRangeText(`{${chip.dataset.put}}`, prompt.selectionStart, prompt.selectionEnd, "end");
      prompt.focus();
      showExamples();
    });
  }
}

$("right")?.addEventListener("click", () => {
  const found = { ...map };
  for (const card of document.querySelectorAll("[data-input]")) {
    if (card.dataset.column) found[card.dataset.input] = card.dataset.column;
  }
  tried(() => choose({ map: found, ...(prompt ? { prompt: prompt.value } : {}) }, "look"));
});
