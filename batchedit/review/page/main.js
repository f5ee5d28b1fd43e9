// Where it comes together: the bar, the grid, the keys.

function progressNow() {
  const told = { all: 0, looked: 0, approve: 0, reject: 0, hold: 0, ...data.elsewhere };
  const jobs = new Set();
  for (const item of data.items) {
    const shot = currentShot(item);
    if (!hasPicture(shot) || jobs.has(shot.job)) continue;
    jobs.add(shot.job);
    told.all += 1;
    const { verdict } = markOf(shot.job);
    if (verdict) {
      told.looked += 1;
      told[verdict] += 1;
    }
  }
  return told;
}

function showProgress() {
  const told = progressNow();
  $("looked").textContent = count(told.looked);
  $("looked-of").textContent = `of ${count(told.all)} looked at`;
  const parts = [
    ["approve", "approved"],
    ["hold", "on hold"],
    ["reject", "rejected"],
  ];
  $("tally").textContent = parts
    .filter(([name]) => told[name])
    .map(([name, word]) => `${count(told[name])} ${word}`)
    .join(" · ");
  for (const [name] of parts)
    document.querySelector(`.track .${name}`).style.width = `${(100 * told[name]) / (told.all || 1)}%`;
}

function refresh() {
  const items = selected();
  active = 0;
  decided = null;
  showItems(items);
  showAllShown();
  $("count").textContent =
    items.length === data.items.length
      ? plural(items.length, "picture")
      : `${count(items.length)} of ${plural(data.items.length, "picture")}`;
  $("nothing").hidden = items.length > 0;
}

const typing = (event) => /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) && event.target.type !== "range";
const DECISIONS = { a: "approve", r: "reject", h: "hold" };

function onKey(event) {
  if (event.target.id === "note" && event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    return noteDone();
  }
  if (event.repeat && !event.key.startsWith("Arrow")) return undefined;
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event) || $("help").open) return undefined;
  const act = box.open ? boxKey(event) : gridKey(event);
  if (!act) return undefined;
  event.preventDefault();
  return act();
}

function commonKey(event) {
  if (event.key === "?") return () => $("help").showModal();
  if (event.key === "u") return undoLast;
  return null;
}

function boxKey(event) {
  if (event.key === "ArrowLeft") return () => step(-1);
  if (event.key === "ArrowRight") return () => step(1);
  const versions = shown[at].shots.length;
  if (event.key === "ArrowUp" && versions > 1) return () => chooseVersion(Math.min(versions - 1, version + 1));
  if (event.key === "ArrowDown" && versions > 1) return () => chooseVersion(Math.max(0, version - 1));
  if (event.key in DECISIONS) return () => decideHere(DECISIONS[event.key], { byKey: true });
  if (event.key === "n") return noteHere;
  return commonKey(event);
}

function gridKey(event) {
  if (event.key === "/") return () => $("text").focus();
  const inside = grid.contains(document.activeElement);
  if (event.key in STEPS && (inside || document.activeElement === document.body)) {
    return () => focusCard(inside ? active + STEPS[event.key]() : active);
  }
  const shot = currentShot(shown[active] || { shots: [] });
  if (inside && hasPicture(shot)) {
    if (event.key in DECISIONS) return () => decideAt(shot.job, DECISIONS[event.key]);
    if (event.key === "n") return () => openAtNote();
  }
  return commonKey(event);
}

function decideAt(job, verdict) {
  const from = active;
  decide(job, verdict);
  const next = nextPicture(from);
  if (next < 0) return pastTheEnd();
  focusCard(next);
  decided = verdict === "reject" ? from : null;
  return undefined;
}

// After R in the grid N is about the picture that was rejected.
function openAtNote() {
  const about = decided ?? active;
  openBox(about);
  $("note")?.focus();
}

function undoLast() {
  const job = undoMark();
  if (job === null) return say("There is nothing to undo.");
  const name = titleOf(itemsOf.get(job)[0]);
  say(`${name}: ${verdictText(markOf(job))} again.`);
  const position = shown.findIndex((item) => item.shots.some((shot) => shot.job === job));
  if (position >= 0 && box.open) openBox(position);
  else if (position >= 0) focusCard(position);
  return undefined;
}

async function finish() {
  keepNote();
  if (waiting.size) return toast("Some marks are not saved yet. Wait a moment, or export them.");
  try {
    await call("api/finish", {});
  } catch {
    // It has ended already: that is what was asked for.
  }
  document.body.replaceChildren(
    make(
      "p",
      { class: "goodbye" },
      `${refused ? `${plural(refused, "mark was", "marks were")} refused, all others` : "All marks"} are saved. ` +
        "You can close this page; the terminal says what to type next.",
    ),
  );
  return undefined;
}

function begin() {
  restore();
  buildBar(refresh);
  $("summary").textContent = data.summary;
  $("zoom").value = 260;
  $("sides").hidden = !data.items.some((item) => item.shots.some((shot) => localSources(shot).length));
  $("sides").addEventListener("click", () => {
    sides = !sides;
    $("sides").setAttribute("aria-pressed", String(sides));
    showItems(shown);
  });
  $("reset").addEventListener("click", () => resetFilters(refresh));
  $("keys").addEventListener("click", () => $("help").showModal());
  $("export").addEventListener("click", exportDecisions);
  $("export").hidden = served;
  $("finish").hidden = !served || Boolean(paging);
  $("finish").addEventListener("click", finish);
  document.addEventListener("keydown", onKey);
  $("approve-shown").addEventListener("click", approveShown);
  listeners.push(showProgress, redrawJob, redressBox, showAllShown);
  refresh();
  showProgress();
  buildPager();
  watchGrid();
  if (served) listen();
}

begin();
