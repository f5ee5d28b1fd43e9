// One picture at a time, with everything that is known of it. A decision moves on to the next picture.

const box = $("box");
const messages = [$("warning"), $("toasts"), $("spoken")];
let at = 0;
let version = 0;
let decided = null;
let back = null;

function openBox(position) {
  at = position;
  version = 0;
  // What is outside a modal dialog can neither be seen nor heard: messages move in with the person.
  if (!box.open) {
    box.showModal();
    document.body.classList.add("behind");
    box.append(...messages);
  }
  fillBox();
}

function closeBox() {
  keepNote();
  decided = null;
  back = null;
  box.close();
  document.body.classList.remove("behind");
  document.querySelector("header.top").after($("warning"));
  document.body.append($("toasts"), $("spoken"));
  focusCard(at);
}

function step(by) {
  keepNote();
  decided = null;
  if (by > 0 && at === shown.length - 1 && paging && paging.following) return pastTheEnd({ open: true });
  const next = Math.max(0, Math.min(shown.length - 1, at + by));
  if (next === at) return say(by > 0 ? "This is the last one." : "This is the first one.");
  at = next;
  version = 0;
  fillBox();
  return undefined;
}

const boxShot = () => shown[at]?.shots[version] || null;

function fillBox() {
  const item = shown[at];
  const shot = boxShot();
  const stage = make("div", { class: "stage" }, ...figures(item, version, chooseVersion));
  if (!item.shots.length) stage.append(make("figure", {}, make("div", { class: "frame" }, absence(item, null))));
  const previous = button("‹", { class: "turn", "aria-label": "Previous picture", disabled: at === 0 }, () => step(-1));
  const next = button("›", { class: "turn", "aria-label": "Next picture", disabled: at === shown.length - 1 && !(paging && paging.following) }, () =>
    step(1),
  );
  $("inside").replaceChildren(make("div", { class: "scene" }, previous, stage, next), about(item, shot));
  $("box-title").focus();
  stage.querySelector(".chosen")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  setTimeout(() => stage.isConnected && preload(at + 1), 2 * STAYS_MS);
}

// A mark changed: show it without rebuilding, or a click that begins by leaving the note would end on nothing.
function redressBox(job) {
  if (!box.open) return;
  const mark = markOf(job);
  for (const figure of box.querySelectorAll(`figure[data-job="${job}"]`)) figure.dataset.verdict = mark.verdict;
  const note = $("note");
  if (Number(note?.dataset.job) !== job) return;
  for (const each of box.querySelectorAll(".decide button")) {
    each.setAttribute("aria-pressed", String(each.dataset.choose === mark.verdict));
  }
  if (document.activeElement !== note) note.value = mark.note;
  box.querySelector(".said").textContent = saidBy(mark);
}

const saidBy = (mark) => (mark.verdict ? verdictText(mark) + (mark.who ? ` by ${mark.who}` : "") : "");

function about(item, shot) {
  const head = make("header", {}, make("h2", { id: "box-title", tabindex: "-1" }, titleOf(item)));
  head.append(button("✕", { class: "close", "aria-label": "Close" }, closeBox));
  const where = `${count(at + 1)} of ${count(shown.length)} · ${rowName(item)} · ${STATUS[shot ? shot.status : "invalid"]}`;
  const aside = make("aside", { "aria-label": "About this picture" }, head, make("p", { class: "quiet" }, where));
  if (hasPicture(shot)) aside.append(decisionPart(shot));
  const reason = reasonOf(item, shot);
  if (reason) aside.append(make("p", { class: "reason" }, icon("problem"), make("span", {}, reason)));
  for (const flag of shot?.flags || [])
    aside.append(make("p", { class: "reason odd" }, icon("problem"), flagText(flag)));
  const prompt = shot ? promptOf(item, shot) : "";
  if (prompt) aside.append(make("h3", {}, "Prompt"), make("p", { class: "words" }, prompt));
  aside.append(make("h3", {}, "About"), facts(item, shot), make("h3", {}, "Row"), cellList(item));
  return aside;
}

function decisionPart(shot) {
  const mark = markOf(shot.job);
  const group = make("div", { class: "decide", role: "group", "aria-label": "Decision" });
  for (const [verdict, label, key] of CHOICES) {
    const each = button(
      icon(verdict),
      { "data-choose": verdict, "aria-pressed": String(mark.verdict === verdict) },
      () => decideHere(verdict),
    );
    each.append(label, make("kbd", {}, key));
    group.append(each);
  }
  const note = make("textarea", {
    id: "note",
    rows: "2",
    maxlength: "2000",
    placeholder: "What should be better? (N)",
  });
  note.value = mark.note;
  note.dataset.job = String(shot.job);
  note.addEventListener("change", keepNote);
  const label = make("label", { for: "note", class: "unseen" }, "Note");
  return make("section", { class: "decision" }, group, label, note, make("p", { class: "quiet said" }, saidBy(mark)));
}

function keepNote() {
  const note = $("note");
  if (note) setMark(Number(note.dataset.job), { note: note.value.trim() });
}

function chooseVersion(index) {
  keepNote();
  version = index;
  fillBox();
  box.querySelector('.frame[aria-pressed="true"]')?.focus();
}

// A key says what it says, twice the same once; a click on the verdict that stands takes it back.
function decideHere(verdict, { byKey = false } = {}) {
  const shot = boxShot();
  if (!hasPicture(shot)) return;
  keepNote();
  const again = byKey === false && markOf(shot.job).verdict === verdict;
  decide(shot.job, again ? "" : verdict);
  decided = verdict === "reject" ? at : null;
  if (again || version !== 0) return;
  const next = nextPicture(at);
  if (next < 0) pastTheEnd({ open: true });
  else showAt(next);
}

function showAt(position) {
  keepNote();
  at = position;
  version = 0;
  fillBox();
}

// N right after R is about the picture that was rejected, not about the one that came up for it.
function noteHere() {
  if (decided !== null && decided !== at) {
    back = at;
    showAt(decided);
  }
  decided = null;
  $("note")?.focus();
}

// Enter: the note is kept, and who came back for it goes on where they were.
function noteDone() {
  keepNote();
  $("note").blur();
  if (back !== null) showAt(back);
  back = null;
}

function preload(position) {
  const file = currentShot(shown[position] || { shots: [] })?.files[0];
  if (file && file.thumb) new Image().src = addressOf(file.large || file.path);
}

box.addEventListener("close", () => document.body.classList.remove("behind"));
box.addEventListener("cancel", (event) => {
  event.preventDefault();
  if (document.activeElement?.id === "note") document.activeElement.blur();
  else closeBox();
});
