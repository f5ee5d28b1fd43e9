// How the run went: a small chart of pictures and money over time, and what went wrong most often.
import { $, ask, count, counted, make } from "./page.js";

const SPACE = "http://www.w3.org/2000/svg";
const WIDE = 600;
const HIGH = 120;

function drawn(tag, attributes) {
  const element = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function line(points, place, kind) {
  const [end, most] = [points.at(-1)[0] || 1, points.at(-1)[place] || 1];
  const path = points.map((point) => `${((point[0] / end) * WIDE).toFixed(1)},${(HIGH - 4 - (point[place] / most) * (HIGH - 8)).toFixed(1)}`);
  return drawn("polyline", { points: path.join(" "), class: kind });
}

const lasted = (seconds) => (seconds < 120 ? counted(Math.round(seconds), "second") : seconds < 7200 ? counted(Math.round(seconds / 60), "minute") : counted(Math.round(seconds / 3600), "hour"));

export async function showCourse(run) {
  const { points, errors } = await ask(`runs/${run}/course`);
  $("course").hidden = points.length < 2;
  if (points.length > 1) {
    const [seconds, pictures, money] = points.at(-1);
    const words = `${counted(pictures, "picture")} and $${money.toFixed(2)} in ${lasted(seconds)}`;
    const chart = drawn("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": words, preserveAspectRatio: "none" });
    chart.append(line(points, 1, "picture-line"), line(points, 2, "money-line"));
    $("chart").replaceChildren(chart);
    $("course-words").textContent = words;
  }
  $("errors").hidden = !errors.length;
  $("error-list").replaceChildren(...errors.map((error) => make("li", {}, `${count(error.count)} × ${error.message}`)));
}
