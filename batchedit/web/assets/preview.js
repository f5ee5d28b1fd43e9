import { ask, draft, make, tried, up, wait } from "./page.js";

const waiting = new Map([...document.querySelectorAll("[data-key]")].map((figure) => [figure, figure.dataset.key]));

function show(figure, key, told) {
  const frame = figure.querySelector(".frame");
  if (told.there.includes(key)) {
    frame.replaceChildren(make("img", { src: `${up}drafts/${draft}/thumbs/${key}.jpg`, alt: "Source picture" }));
  } else if (key in told.why || told.ready) {
    frame.classList.add("none");
    frame.replaceChildren(make("span", { class: "small" }, `No preview: ${told.why[key] || "it was not fetched"}`));
  } else {
    return;
  }
  waiting.delete(figure);
}

tried(async () => {
  while (waiting.size) {
    const told = await ask(`drafts/${draft}/thumbs`);
    for (const [figure, key] of [...waiting]) show(figure, key, told);
    if (waiting.size) await wait(500);
  }
});
