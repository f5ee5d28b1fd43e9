import { $, ask, call, count, counted, make, say, tried, up, wait } from "./page.js";
import { showCourse, tellCourse } from "./course.js";
import { isAsking, question, renew } from "./question.js";

const { run } = $("run").dataset;
const TOKEN_REFUSED = 77; // the exit code of the process that ended
let now = JSON.parse($("run").dataset.now);

const usd = (amount) => amount.toLocaleString("en-US", { style: "currency", currency: "USD" });

function lasting(seconds) {
  if (seconds < 90) return "about a minute";
  if (seconds < 5400) return `about ${counted(Math.round(seconds / 60), "minute")}`;
  return `about ${counted(Math.round(seconds / 3600), "hour")}`;
}

const sentence = (text) => text.replace(/^./, (letter) => letter.toUpperCase()).replace(/[^.!?]$/, "$&.");

const STATES = {
  going: () => (now.seconds_left ? `Going on, ${lasting(now.seconds_left.half)} left. You may close this page.` : "Going on. You may close this page."),
  paused: () => "Paused: nothing more is bought, what was bought is collected.",
  busy: () => "Another command works on it for a moment.",
  stopped: () => `Stopped at ${count(now.done)} of ${count(now.total)}. ${now.stopped ? sentence(now.stopped) : "Nothing buys by itself."}`,
  canary: () => `The first ${count(now.done)} of ${count(now.total)} are there. Look at them, then buy the rest or stop here; it waits as long as you like.`,
  finished: () => {
    const missing = [now.failed ? `${counted(now.failed, "picture")} failed` : "", now.in_doubt ? `${count(now.in_doubt)} in doubt` : ""];
    return missing.some(Boolean) ? `Finished; ${missing.filter(Boolean).join(", ")}.` : "Finished: every picture is there.";
  },
};

function showPictures() {
  const shown = [...now.last_pictures].reverse();
  $("latest").hidden = !shown.length;
  const known = new Map([...$("pictures").children].map((item) => [item.dataset.job, item]));
  const items = shown.map((picture) => {
    const job = String(picture.job);
    if (known.has(job)) return known.get(job);
    const image = make("img", { src: `${up}runs/${run}/files/${job}`, alt: picture.name, loading: "lazy" });
    return make("li", { "data-job": job }, image, make("p", { class: "quiet small" }, picture.name));
  });
  if (items.some((item, place) => item !== $("pictures").children[place])) $("pictures").replaceChildren(...items);
}

function show() {
  const asking = isAsking(); // an offer holds the run for a moment: nothing is bought by it
  $("title").textContent = `${count(now.done)} of ${counted(now.total, "picture")}`;
  $("told").textContent = asking ? "It waits for your yes." : STATES[now.state]();
  $("bar").max = now.total || 1;
  $("bar").value = now.done;
  for (const key of ["under_way", "left", "failed", "in_doubt"]) $(`n-${key}`).textContent = count(now[key]);
  $("spent").textContent = usd(now.usd.spent);
  $("reserved").textContent = usd(now.usd.reserved);
  $("cap").textContent = now.usd.cap === null ? "none" : usd(now.usd.cap);
  $("decide").hidden = !now.in_doubt;
  const going = now.state === "going" && !asking;
  $("pause").hidden = !going;
  $("resume").hidden = now.state !== "paused" || asking;
  $("stop").hidden = $("steer").hidden = asking || (!going && now.state !== "paused");
  $("continue").hidden = !["stopped", "canary"].includes(now.state) || asking;
  $("continue").textContent = now.state === "canary" ? "Buy the rest" : "Continue";
  const trouble = [now.waiting, now.slowed, going && now.last_word ? now.last_word.message : ""].filter(Boolean)[0];
  if (now.state === "stopped" && now.code === TOKEN_REFUSED && !asking) renew({});
  if (going || now.state === "finished") $("renew").hidden = true;
  $("trouble").hidden = !trouble || ["finished", "paused"].includes(now.state);
  $("trouble").textContent = trouble || "";
  $("awake").hidden = !going;
  $("awake").textContent = now.awake ? "The machine is kept awake while it goes on. Keep the lid open." : "This machine may fall asleep; the run goes on when it wakes.";
  showPictures();
}

const wish = (told) => tried(() => call(`runs/${run}/wish`, told));

$("pause").addEventListener("click", () => wish({ what: "pause" }));
$("resume").addEventListener("click", () => wish({ what: "resume" }));
$("stop").addEventListener("click", () => wish({ what: "stop" }));
$("steer").addEventListener("submit", (event) => {
  event.preventDefault();
  const cap = Number.parseFloat($("new-cap").value);
  const speed = Number.parseInt($("speed").value, 10);
  if (cap) wish({ what: "cap", usd: cap });
  if (speed) wish({ what: "speed", jobs: speed });
  say("Wished; it is heeded within a second.");
});
const put = question(run, { changed: () => show() });
$("continue").addEventListener("click", () => put($("continue"), {}));

let spanned = 0;
async function showAll(withCourse) {
  if (withCourse) spanned = await showCourse(run);
  show();
  tellCourse(now, spanned);
}

show();
await showAll(true).catch(() => {}); // the numbers above tell the same
for (let second = 1; ; second += 1) {
  await wait(1000);
  if (document.hidden) continue;
  try {
    const before = now;
    now = await ask(`runs/${run}/live`);
    await showAll(second % 10 === 0 || before.state !== now.state);
  } catch {
    $("told").textContent = "The page’s server does not answer. The run goes on; start the page again with: batchedit ui";
  }
}
