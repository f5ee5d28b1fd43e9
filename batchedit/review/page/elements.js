// Elements and words for the person. Every text is set as text: what stands in a cell stays what stands in a cell.

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function button(label, attributes, act) {
  const element = make("button", { type: "button", ...attributes }, label);
  element.addEventListener("click", act);
  return element;
}

// Only links that can be followed without harm; anything else is shown as text.
function link(address) {
  if (!/^https?:\/\//i.test(address)) return make("span", {}, address);
  return make("a", { href: address, rel: "noreferrer noopener", target: "_blank" }, address);
}

const say = (text) => {
  $("spoken").textContent = text;
};

// Nobody reads by the clock: what is said stays until the person does something again.
function onceActive(act) {
  const acts = ["keydown", "pointerdown"];
  const heard = () => {
    for (const each of acts) document.removeEventListener(each, heard, true);
    act();
  };
  for (const each of acts) document.addEventListener(each, heard, true);
}

function toast(text, ...actions) {
  const note = make("div", { class: "toast" }, make("p", {}, text));
  for (const [label, act] of actions) {
    note.append(
      button(label, { class: "plain" }, () => {
        note.remove();
        act();
      }),
    );
  }
  if (actions.length) note.append(button("Leave it", { class: "plain" }, () => note.remove()));
  else setTimeout(() => onceActive(() => note.remove()), 6000);
  $("toasts").append(note);
}

function warn(text) {
  $("warning").textContent = text;
  $("warning").hidden = false;
  $("export").hidden = false;
}

function unwarn() {
  $("warning").hidden = true;
  $("export").hidden = served;
}

const VERDICTS = { approve: "Approved", reject: "Rejected", hold: "On hold" };
const verdictText = (mark) => VERDICTS[mark.verdict] || "no decision";
const rowName = (item) => `${data.rowWord} ${item.row}`;
const titleOf = (item) => item.id || rowName(item).replace(/^./, (letter) => letter.toUpperCase());
const itemsOf = new Map();
for (const item of data.items) {
  for (const shot of item.shots) itemsOf.set(shot.job, [...(itemsOf.get(shot.job) || []), item]);
}

function showConflict(job, mine, theirs) {
  const item = itemsOf.get(job)[0];
  const note = theirs.note ? `, “${theirs.note}”` : "";
  const text = `${titleOf(item)} was marked elsewhere in the meantime: ${verdictText(theirs)}${note}. `;
  toast(`${text}Yours (${verdictText(mine)}) was not written.`, [
    "Use mine",
    () => setMark(job, { verdict: mine.verdict, note: mine.note }),
  ]);
}

// One drawing for each meaning, so that no state is told by colour alone.
const DRAWINGS = {
  approve: "M4.5 12.5l5 5L19.5 7",
  reject: "M6.5 6.5l11 11M17.5 6.5l-11 11",
  hold: "M9 6v12M15 6v12",
  problem: "M12 6.5v7M12 17.3v.2",
  wait: "M12 7v5l3.5 2",
};

function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const path = document.createElementNS(space, "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", DRAWINGS[name]);
  svg.append(path);
  return svg;
}
