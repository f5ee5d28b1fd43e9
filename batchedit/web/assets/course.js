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

const usd = (amount) => amount.toLocaleString("en-US", { style: "currency", currency: "USD" });

// The numbers are those of the figures above, so that one page never tells two sums.
export function tellCourse(now, seconds) {
  const words = `${counted(now.done, "picture")} and ${usd(now.usd.spent)} in ${lasted(seconds)}`;
  $("course-words").textContent = words;
  $("chart").firstElementChild?.setAttribute("aria-label", words);
}

// Returns how many seconds the chart spans; 0 where there is none yet.
export async function showCourse(run) {
  const { points, errors } = await ask(`runs/${run}/course`);
  $("course").hidden = points.length < 2;
  $("errors").hidden = !errors.length;
  $("error-list").replaceChildren(...errors.map((error) => make("li", {}, `${count(error.count)} × ${error.message}`)));
  if (points.length < 2) return 0;
  const chart = drawn("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", preserveAspectRatio: "none" });
  chart.append(line(points, 1, "picture-line"), line(points, 2, "money-line"));
  $("chart").replaceChildren(chart);
  return points.at(-1)[0];
}
