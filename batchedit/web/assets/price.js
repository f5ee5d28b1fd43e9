import { $, call, choose, draft, tried } from "./page.js";

$("matrix").addEventListener("submit", (event) => event.preventDefault());
$("matrix").addEventListener("change", () => {
  const sizes = [...document.querySelectorAll("[name=size]:checked")].map((box) => box.value);
  const column = $("markets").dataset.column;
  const markets = [...document.querySelectorAll("[name=market]:checked")].map((box) => box.value);
  markets.push(...$("another").value.split(",").map((text) => text.trim()).filter(Boolean));
  const variants = Number(document.querySelector("[name=variants]:checked").value);
  $("busy").hidden = false;
  tried(() => choose({ sizes, variants, over: { [column]: markets } }, "check")).then((well) => {
    if (!well) $("busy").hidden = true;
  });
});

$("buy")?.addEventListener("submit", (event) => {
  event.preventDefault();
  const cap = Number.parseFloat($("cap").value) || null;
  tried(async () => {
    await call(`drafts/${draft}/wish`, { first: Number(event.submitter.value), cap });
    location.assign("buy");
  });
});
