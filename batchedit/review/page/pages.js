// A run in pages of a hundred lines: the next, the one before, a row, and which lines are shown. `data.page` says where this
// page is; a gallery that holds the whole run has none.

const paging = data.page || null;
const NEWS_MS = 5000;
const pageAddress = (changed) => `?${new URLSearchParams({ show: paging.show, ...changed })}`;
const LISTS = { all: "All lines", todo: "Not looked at", approve: "Approved", reject: "Rejected", hold: "On hold", note: "With a note" };

function turnTo(changed, { open = false } = {}) {
  keepNote();
  sessionStorage.setItem("batchedit:open", open ? "box" : "grid");
  location.assign(pageAddress(changed));
}

// Past the last picture of this page: the next page if there is one; else the end says so.
function pastTheEnd({ open = false } = {}) {
  if (paging && paging.following) {
    sent().then(() => turnTo({ from: paging.following }, { open }));
    return;
  }
  const left = progressNow();
  const undecided = left.all - left.looked;
  toast(undecided ? `That was the last one. ${plural(undecided, "picture")} not looked at yet.` : "That was the last one. Every picture is looked at.");
}

async function sent() {
  while (waiting.size) await new Promise((done) => setTimeout(done, 30));
}

function buildPager() {
  if (!paging) return;
  $("pager").hidden = false;
  for (const [id, target] of [["page-before", paging.first > 1 ? paging.before : null], ["page-next", paging.following]]) {
    $(id).hidden = !target;
    if (target) $(id).href = pageAddress({ from: target });
  }
  if (paging.going) setTimeout(lookForNew, NEWS_MS);
  $("page-row").addEventListener("change", () => turnTo({ row: $("page-row").value }));
  const select = make("select", { id: "list" });
  fill(select, Object.entries(LISTS));
  select.value = paging.show;
  select.addEventListener("change", () => turnTo({ show: select.value }));
  $("status").before(make("label", { class: "pill" }, make("span", {}, "Show"), select));
  const wanted = sessionStorage.getItem("batchedit:open");
  sessionStorage.removeItem("batchedit:open");
  if (wanted === "box" && shown.length) openBox(Math.max(0, nextPicture(-1)));
  else if (wanted === "grid" && shown.length) focusCard(Math.max(0, nextPicture(-1)));
}

// A run that goes on brings pictures while somebody looks. They are offered: nothing moves underfoot.
async function lookForNew() {
  let going = true;
  try {
    const answer = document.hidden ? null : await call("api/pictures");
    if (answer && answer.ok) {
      const now = await answer.json();
      going = now.going;
      offerNew(now.pictures - paging.pictures);
    }
  } catch {
    // The server is away: marks that can't be sent say so.
  }
  if (going) setTimeout(lookForNew, NEWS_MS);
}

function offerNew(number) {
  if (number <= 0) return;
  const text = `${plural(number, "new picture")} since this page was opened. `;
  const show = () => sent().then(() => location.reload());
  $("newer").replaceChildren(text, button("Show", { class: "plain", id: "show-newer" }, show));
  $("newer").hidden = false;
}

// The position of the next picture after `position`; -1 if there is none. Lines without a picture are stepped over.
function nextPicture(position) {
  for (let next = position + 1; next < shown.length; next += 1) if (hasPicture(currentShot(shown[next]))) return next;
  return -1;
}

const undecided = () => {
  const jobs = shown.map(currentShot).filter((shot) => hasPicture(shot) && !markOf(shot.job).verdict);
  return [...new Set(jobs.map((shot) => shot.job))];
};

function showAllShown() {
  const number = undecided().length;
  $("approve-shown").hidden = number === 0;
  $("approve-shown").textContent = `Approve all ${count(number)} shown`;
}

// One undo takes all of them back.
function approveShown() {
  const jobs = undecided();
  const before = jobs.map((job) => ({ job, verdict: markOf(job).verdict, note: markOf(job).note }));
  for (const job of jobs) setMark(job, { verdict: "approve" }, { undo: false });
  undoing.push(before);
  showAllShown();
  toast(`${plural(jobs.length, "picture")} approved.`, ["Undo", undoLast]);
}
