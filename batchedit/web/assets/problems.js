import { $, again, call, counted, draft, finished, say, tried } from "./page.js";

let unchecked = 0;

async function checkAgain() {
  await finished("check");
  again();
}

// A mended cell is kept at once; the rows are checked anew when the person is done, so that no list moves under the keys.
function kept(row) {
  unchecked += 1;
  $("unchecked").hidden = false;
  $("unchecked-told").textContent = `${counted(unchecked, "change")} kept, not checked yet.`;
  row.classList.add("mended");
  say("Kept.");
}

for (const row of document.querySelectorAll(".fault")) {
  const number = Number(row.dataset.row);
  const input = row.querySelector(".cell-input");
  input?.addEventListener("change", () =>
    tried(async () => {
      await call(`drafts/${draft}/cell`, { row: number, field: row.dataset.field, text: input.value });
      kept(row);
    }),
  );
  input?.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    const inputs = [...document.querySelectorAll(".cell-input")];
    (inputs[inputs.indexOf(input) + 1] || $("check")).focus();
  });
  const leave = row.querySelector("[data-leave]");
  leave.addEventListener("click", () =>
    tried(async () => {
      await call(`drafts/${draft}/leave`, { row: number, out: Boolean(leave.dataset.leave) });
      row.classList.toggle("settled", Boolean(leave.dataset.leave));
      leave.hidden = true;
      kept(row);
    }),
  );
}

$("check")?.addEventListener("click", () => tried(checkAgain));
$("alike")?.addEventListener("submit", (event) => {
  event.preventDefault();
  const { find, put, whole } = event.target.elements;
  const told = { field: event.target.dataset.field, find: find?.value ?? "", put: put.value, whole: Boolean(whole) };
  tried(async () => {
    await call(`drafts/${draft}/alike`, told);
    await finished("check");
    location.assign("problems");
  });
});
$("leave")?.addEventListener("click", () =>
  tried(async () => {
    await call(`drafts/${draft}/leave`, { cause: Number($("alike").dataset.cause), out: Boolean($("leave").dataset.out) });
    await checkAgain();
  }),
);
$("leave-all")?.addEventListener("click", () =>
  tried(async () => {
    await call(`drafts/${draft}/leave`, { cause: 0 });
    await checkAgain();
  }),
);
$("undo")?.addEventListener("click", () =>
  tried(async () => {
    await call(`drafts/${draft}/undo`);
    await checkAgain();
  }),
);
$("goto")?.addEventListener("submit", (event) => {
  event.preventDefault();
  const here = new URL(location.href);
  here.searchParams.set("row", event.target.elements.row.value);
  location.assign(here);
});
document.querySelector("[data-wanted]")?.scrollIntoView({ block: "center" });
