// What every screen needs: calls to its own server, words, elements. Text is set as text, never as markup.

export const up = document.body.dataset.up;
export const draft = document.body.dataset.draft;
export const $ = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const count = (number) => number.toLocaleString("en-US");
export const counted = (number, word) => `${count(number)} ${number === 1 ? word : `${word}s`}`;

// `token`: what was refused needs another token.
export class Refused extends Error {
  constructor(text, token = false) {
    super(text);
    this.token = token;
  }
}

async function answered(answer) {
  const told = await answer.json().catch(() => ({ message: "The server gave no answer that can be read.", hint: "" }));
  if (!answer.ok) throw new Refused([told.message, told.hint].filter(Boolean).join(". "), told.token);
  return told;
}

const GONE = "The page’s server does not answer. Start it again with: batchedit ui. A run that was started goes on.";

export async function call(path, body = {}) {
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  return answered(await fetch(`${up}api/${path}`, options).catch(() => Promise.reject(new Refused(GONE))));
}

export async function ask(path) {
  return answered(await fetch(`${up}api/${path}`).catch(() => Promise.reject(new Refused(GONE))));
}

export function warn(text) {
  $("warning").textContent = text;
  $("warning").hidden = !text;
  if (text) $("warning").scrollIntoView({ block: "nearest" });
}

export const say = (text) => {
  $("spoken").textContent = text;
};

// Run `act`; what goes wrong is said at the top of the page. Returns whether it went well.
export async function tried(act) {
  warn("");
  try {
    await act();
    return true;
  } catch (error) {
    warn(error.message);
    return false;
  }
}

export const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

// Until a step of the draft is done. Throws what a person can mend.
export async function finished(step, id = draft) {
  for (let pause = 120; ; pause = Math.min(pause * 1.4, 1000)) {
    const told = await ask(`drafts/${id}/state?step=${step}`);
    if (told.stand === "failed") throw new Refused("That ended early. Reload the page to try again.");
    if (told.stand === "done") return told;
    await wait(pause);
  }
}

// Keep choices, wait for what follows from them, then show the page anew with the focus where it was.
export async function choose(choices, step) {
  await call(`drafts/${draft}/choices`, choices);
  await finished(step);
  again();
}

export function again() {
  const focus = document.activeElement;
  const mark = focus && (focus.id ? `#${focus.id}` : focus.name ? `[name="${focus.name}"]` : "");
  sessionStorage.setItem("focus", mark || "");
  location.reload();
}

document.querySelector("[aria-current=step]")?.scrollIntoView({ block: "nearest", inline: "center" });
const mark = sessionStorage.getItem("focus");
sessionStorage.removeItem("focus");
if (mark) document.querySelector(mark)?.focus();
