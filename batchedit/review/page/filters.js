// Which items are shown, and in which order. `chosen` is the whole state of the bar.

const chosen = { text: "", status: "", mark: "", flag: "", size: "", cells: new Map(), sort: "manifest" };
const MARKS = { none: "Not looked at", approve: "Approved", reject: "Rejected", hold: "On hold", note: "With a note" };

const SORTS = {
  manifest: ["Manifest", null],
  newest: ["Newest", (a, b) => number(currentShot(b)?.at) - number(currentShot(a)?.at)],
  id: ["Name", (a, b) => a.id.localeCompare(b.id, undefined, { numeric: true })],
  status: ["Problems first", (a, b) => rank(b) - rank(a)],
  seconds: ["Slowest", (a, b) => number(currentShot(b)?.seconds) - number(currentShot(a)?.seconds)],
  cost: ["Dearest", (a, b) => number(currentShot(b)?.cost) - number(currentShot(a)?.cost)],
  mark: ["Decision", (a, b) => markRank(a) - markRank(b)],
};

const number = (value) => (value === undefined ? -1 : value);
const RANKS = ["done", "planned", "submitted", "cancelled", "uncollected", "failed", "invalid", "in_doubt"];
const rank = (item) => RANKS.indexOf(statusOf(item)) * 10 + Math.min(9, currentShot(item)?.flags?.length || 0);
const markRank = (item) => ["reject", "hold", "", "approve"].indexOf(markOf(currentShot(item)?.job).verdict);

function markMatches(item) {
  const shot = currentShot(item);
  if (!shot) return false;
  const mark = markOf(shot.job);
  if (chosen.mark === "none") return hasPicture(shot) && !mark.verdict;
  return chosen.mark === "note" ? Boolean(mark.note) : mark.verdict === chosen.mark;
}

function matches(item, words) {
  const shot = currentShot(item);
  if (chosen.status && statusOf(item) !== chosen.status) return false;
  if (chosen.size && (!shot || shot.size !== chosen.size)) return false;
  if (chosen.flag && !(shot?.flags || []).some((flag) => chosen.flag === "any" || flagKind(flag) === chosen.flag))
    return false;
  for (const [column, value] of chosen.cells) if (cellsOf(item)[column] !== value) return false;
  if (chosen.mark && !markMatches(item)) return false;
  return words.every((word) => item.search.includes(word));
}

function selected() {
  const words = chosen.text.toLowerCase().split(/\s+/).filter(Boolean);
  const found = data.items.filter((item) => matches(item, words));
  const order = SORTS[chosen.sort][1];
  return order ? found.sort((a, b) => order(a, b) || a.row - b.row) : found;
}

function buildBar(refresh) {
  buildStatus(refresh);
  fill(
    $("sort"),
    Object.entries(SORTS).map(([value, [label]]) => [value, label]),
  );
  $("sort").addEventListener("change", () => refresh((chosen.sort = $("sort").value)));
  let typing = 0;
  $("text").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => refresh((chosen.text = $("text").value)), 120);
  });
  if (!data.page) addSelect("Decision", Object.entries(MARKS), (value) => refresh((chosen.mark = value)));
  const flags = countedFlags();
  if (flags.length) addSelect("Check", [["any", "Anything odd"], ...flags], (value) => refresh((chosen.flag = value)));
  if (data.sizes.length > 1) addSelect("Size", labelled(data.sizes), (value) => refresh((chosen.size = value)));
  for (const facet of data.facets) {
    addSelect(facet.name, labelled(facet.values), (value) => {
      if (value) chosen.cells.set(facet.column, value);
      else chosen.cells.delete(facet.column);
      refresh();
    });
  }
}

const labelled = (values) => values.map(([value, howMany]) => [value, `${value} (${count(howMany)})`]);

function countedFlags() {
  const found = new Map();
  for (const item of data.items) {
    for (const kind of new Set((currentShot(item)?.flags || []).map(flagKind)))
      found.set(kind, (found.get(kind) || 0) + 1);
  }
  return Object.keys(FLAGS)
    .filter((kind) => found.has(kind))
    .map((kind) => [kind, `${FLAGS[kind]} (${count(found.get(kind))})`]);
}

function buildStatus(refresh) {
  const found = new Map();
  for (const item of data.items) found.set(statusOf(item), (found.get(statusOf(item)) || 0) + 1);
  const segments = [["", "All", data.items.length]];
  for (const status of Object.keys(STATUS))
    if (found.has(status)) segments.push([status, STATUS[status], found.get(status)]);
  for (const [status, label, howMany] of segments) {
    const button = make(
      "button",
      { type: "button", "aria-pressed": String(status === ""), "data-status": status },
      label,
      " ",
    );
    button.append(make("span", { class: "quiet" }, count(howMany)));
    button.addEventListener("click", () => {
      for (const each of $("status").children) each.setAttribute("aria-pressed", String(each === button));
      refresh((chosen.status = status));
    });
    $("status").append(button);
  }
}

function addSelect(name, options, choose) {
  const select = make("select", { "data-name": name });
  fill(select, [["", "All"], ...options]);
  const pill = make("label", { class: "pill" }, make("span", {}, name), select);
  select.addEventListener("change", () => {
    pill.classList.toggle("on", Boolean(select.value));
    choose(select.value);
  });
  $("facets").append(pill);
}

function fill(select, options) {
  for (const [value, label] of options) select.append(make("option", { value }, label));
}

function resetFilters(refresh) {
  Object.assign(chosen, { text: "", status: "", mark: "", flag: "", size: "" });
  chosen.cells.clear();
  $("text").value = "";
  for (const select of $("facets").querySelectorAll("select")) select.value = "";
  for (const pill of document.querySelectorAll(".pill.on")) pill.classList.remove("on");
  for (const each of $("status").children) each.setAttribute("aria-pressed", String(each.dataset.status === ""));
  refresh();
}
