// What the person decided. Served, each mark is sent at once and the answer is the truth; from disk they stay in this
// browser until they are exported. `undoing` holds what a mark was before, so that U can put it back.

const store = `batchedit:${data.id}`;
const marks = new Map(Object.values(data.marks).map((mark) => [mark.job, mark]));
const keyOfJob = new Map();
for (const item of data.items) for (const shot of item.shots) keyOfJob.set(shot.job, shot.key);

const undoing = [];
const waiting = new Map();
const listeners = [];
let sending = false;
let refused = 0;
let seq = data.seq || 0;

const nothing = { verdict: "", note: "", serial: 0, who: "", at: 0 };
const markOf = (job) => waiting.get(job) || marks.get(job) || nothing;
const changed = (job) => listeners.forEach((listener) => listener(job));

function restore() {
  if (served) return;
  try {
    const kept = JSON.parse(localStorage.getItem(store) || "{}");
    for (const [job, key] of keyOfJob) {
      const mark = kept[key];
      if (mark && mark.at > markOf(job).at) marks.set(job, { ...nothing, ...mark, job });
    }
  } catch {
    warn("This browser keeps no marks for pages from disk. Export your decisions before you close the page.");
  }
}

function keep() {
  const kept = {};
  for (const [job, mark] of marks) {
    if (mark.at) kept[keyOfJob.get(job)] = { verdict: mark.verdict, note: mark.note, at: mark.at };
  }
  try {
    localStorage.setItem(store, JSON.stringify(kept));
  } catch {
    warn("This browser can't keep your marks. Export your decisions before you close the page.");
  }
}

function setMark(job, change, { undo = true } = {}) {
  const before = markOf(job);
  const after = { ...before, ...change, job, at: Date.now() / 1000 };
  if (after.verdict === before.verdict && after.note === before.note) return false;
  if (undo) undoing.push([{ job, verdict: before.verdict, note: before.note }]);
  if (served) {
    waiting.set(job, after);
    send();
  } else {
    marks.set(job, after);
    keep();
  }
  changed(job);
  return true;
}

function undoMark() {
  const last = undoing.pop();
  for (const { job, verdict, note } of last || []) setMark(job, { verdict, note }, { undo: false });
  return last ? last[0].job : null;
}

async function call(path, body) {
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  return fetch(path, body === undefined ? {} : options);
}

// The address of batchedit ui stays: a page that is still open sends its marks then. That of a review does not.
function whatToDo() {
  if (!paging)
    return `Start it again with batchedit review ${data.folder}, or export your decisions here and take them in with --import.`;
  const start = data.guest ? "Ask who sent you the link to start it again" : "Start it again with batchedit ui";
  return `${start}, and leave this page open: it sends them then. Or export your decisions here.`;
}

// As many at once as fit into one request: whoever decides faster than an answer comes waits for none.
const MOST_SENT = 100;
const LONGEST_SENT = 16000;

function inRequests() {
  const requests = [[]];
  let length = 0;
  for (const [job, { verdict, note }] of waiting) {
    const told = { job, verdict, note, serial: (marks.get(job) || nothing).serial };
    const longer = JSON.stringify(told).length;
    if (requests.at(-1).length === MOST_SENT || length + longer > LONGEST_SENT) {
      requests.push([]);
      length = 0;
    }
    requests.at(-1).push(told);
    length += longer;
  }
  return requests.filter((each) => each.length);
}

async function send() {
  if (sending) return;
  sending = true;
  while (waiting.size) {
    const [request] = inRequests();
    const sent = request.map(({ job }) => waiting.get(job));
    try {
      const answer = await call("api/mark", request);
      if (!answer.ok) throw new Error(String(answer.status));
      unwarn();
      (await answer.json()).marks.forEach((each, place) => settle(sent[place], each));
    } catch {
      warn(`${plural(waiting.size, "mark")} not saved: batchedit doesn't answer. ${whatToDo()}`);
      setTimeout(send, 3000);
      break;
    }
  }
  sending = false;
}

function settle(wanted, { status, message, ...theirs }) {
  const { job } = wanted;
  if (waiting.get(job) === wanted) waiting.delete(job);
  if (status === 200 || status === 409) marks.set(job, theirs);
  else {
    refused += 1;
    toast(`${titleOf(itemsOf.get(job)[0])}: the mark was refused: ${message}.`, ["Reload the page", () => location.reload()]);
  }
  if (status === 409 && (theirs.verdict !== wanted.verdict || theirs.note !== wanted.note)) {
    waiting.delete(job);
    showConflict(job, wanted, theirs);
  }
  changed(job);
}

// Who leaves the page at once loses nothing: what is not answered yet is sent so that it outlives the page. A mark that had
// arrived already is refused by its serial, and stands as it is.
function sendLast() {
  for (const request of inRequests()) {
    const body = JSON.stringify(request);
    fetch("api/mark", { method: "POST", headers: { "Content-Type": "application/json" }, body, keepalive: true }).catch(() => {});
  }
}

if (served) window.addEventListener("pagehide", sendLast);

async function listen() {
  try {
    const answer = document.hidden ? null : await call(`api/marks?since=${seq}`);
    if (answer && answer.ok) {
      const news = await answer.json();
      seq = news.seq;
      for (const mark of news.marks) {
        if (mark.serial > (marks.get(mark.job) || nothing).serial) {
          marks.set(mark.job, mark);
          changed(mark.job);
        }
      }
    }
  } catch {
    // A mark that can't be sent says so; looking for news may fail in silence.
  }
  setTimeout(listen, 2000);
}

const csvCell = (text) => {
  const harmless = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replace(/"/g, '""')}"` : harmless;
};

function decisionsCsv() {
  const lines = [["row", "id", "file", "decision", "note", "when", "job"]];
  const told = new Set();
  for (const item of data.items) {
    for (const shot of item.shots) {
      const mark = markOf(shot.job);
      if (told.has(shot.job) || !mark.at) continue;
      told.add(shot.job);
      const when = new Date(mark.at * 1000).toISOString();
      lines.push([String(item.row), item.id, nameOf(shot), mark.verdict, mark.note, when, `k${shot.key}`]);
    }
  }
  return "\ufeff" + lines.map((line) => line.map(csvCell).join(",")).join("\r\n") + "\r\n";
}

function exportDecisions() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([decisionsCsv()], { type: "text/csv" }));
  link.download = "decisions.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  say(`decisions.csv is in your downloads. Take it in with: batchedit review ${data.folder} --import decisions.csv`);
}
