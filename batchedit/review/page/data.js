// The run as the page was given it. Items are lines of the results; a shot is one version of a line's picture.

const data = JSON.parse(document.getElementById("data").textContent);
const served = data.mode === "review";
const $ = (id) => document.getElementById(id);

const STATUS = {
  done: "Done",
  failed: "Failed",
  invalid: "Invalid row",
  in_doubt: "In doubt",
  uncollected: "Not collected",
  cancelled: "Cancelled",
  submitted: "Under way",
  planned: "Not bought yet",
};

const FLAGS = {
  unreadable: "Unreadable",
  wrong_ratio: "Wrong shape",
  tiny: "Tiny",
  one_colour: "Nearly one colour",
  like_row: "Like another row",
  like_input: "Like its input",
};

const flagKind = (flag) => flag.replace(/_\d+$/, "");
const flagText = (flag) => {
  const row = /^like_row_(\d+)$/.exec(flag);
  return row ? `Like ${data.rowWord} ${row[1]}` : FLAGS[flag] || flag;
};

const count = new Intl.NumberFormat("en-US").format;
const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;
const money = (micros) => {
  const dollars = micros / 1e6;
  const places = Number.isInteger(micros / 1e4) ? 2 : 4;
  return `$${dollars.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: places })}`;
};
const seconds = (value) => (value >= 90 ? `${(value / 60).toFixed(1)} min` : `${value.toFixed(1)} s`);

const currentShot = (item) => item.shots[0] || null;
const statusOf = (item) => (item.shots.length ? item.shots[0].status : "invalid");
const cellsOf = (item) => (item.cells === undefined ? [] : data.rows[item.cells]);
const promptOf = (item, shot) => (shot.promptCell === undefined ? shot.prompt || "" : cellsOf(item)[shot.promptCell]);
const reasonOf = (item, shot) => (shot ? shot.reason || "" : item.reason || "");
const nameOf = (shot) => (shot && shot.files.length ? shot.files[0].name || shot.files[0].path.replace(/^.*\//, "") : "");
const hasPicture = (shot) => Boolean(shot && shot.status === "done" && shot.files.length);
const localSources = (shot) => (shot ? shot.sources.filter((source) => source.thumb) : []);
const addressOf = (path) => path.split("/").map(encodeURIComponent).join("/");

for (const item of data.items) {
  const shot = currentShot(item);
  const told = [item.id, String(item.row), ...cellsOf(item), reasonOf(item, shot)];
  for (const each of item.shots) told.push(promptOf(item, each), nameOf(each));
  item.search = [...told, ...Object.values(item.over || {})].join("\n").toLowerCase();
}
