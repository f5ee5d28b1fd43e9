// What a picture was made from. Behind a link it is fetched by the server while one looks, which may take seconds, and a
// browser keeps six connections for everything: so many are asked for at a time, and a mark never waits for one.

const SOURCES_AT_ONCE = 2;
const asked = new Set();
const inSight = [];

const watcher = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      watcher.unobserve(target);
      inSight.push(target);
    }
    askForSources();
  },
  { rootMargin: "400px" },
);

function sourceImage(path, words) {
  if (!paging) return image(path, words);
  const picture = image(undefined, words);
  picture.dataset.address = addressOf(path);
  for (const end of ["load", "error"])
    picture.addEventListener(end, () => {
      asked.delete(picture);
      askForSources();
    });
  watcher.observe(picture);
  return picture;
}

// The latest first: it is the one that is looked at. One that is gone from the page is not asked for.
function askForSources() {
  if (document.readyState !== "complete") return; // the page counts as loaded without them
  while (asked.size < SOURCES_AT_ONCE && inSight.length) {
    const picture = inSight.pop();
    if (!picture.isConnected) continue;
    asked.add(picture);
    picture.loading = "eager"; // it is in sight; a lazy one that is hidden meanwhile would never end
    picture.src = picture.dataset.address;
  }
}

window.addEventListener("load", () => setTimeout(askForSources));
