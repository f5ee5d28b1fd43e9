// The grid draws only what is near the window: ten thousand cards cost what thirty cost. One card is reachable by Tab;
// the arrows move from card to card. The list stays as it is while marks are made, so nothing jumps away underfoot.

const grid = $("grid");
const drawn = new Map();
let shown = [];
let active = 0;
let layout = { columns: 1, width: 0, height: 1, gap: 20 };

function measure() {
  const width = grid.clientWidth;
  const gap = width < 600 ? 12 : 22;
  const wanted = Number($("zoom").value);
  const columns = Math.max(1, Math.floor((width + gap) / (wanted + gap)));
  const cardWidth = (width - gap * (columns - 1)) / columns;
  layout = { columns, width: cardWidth, height: Math.round(cardWidth * 0.8 + 122), gap };
  grid.style.setProperty("--card", `${cardWidth}px`);
  grid.style.setProperty("--tall", `${layout.height}px`);
}

function showItems(items) {
  shown = items;
  active = Math.min(active, Math.max(0, items.length - 1));
  for (const element of drawn.values()) element.remove();
  drawn.clear();
  measure();
  const rows = Math.ceil(items.length / layout.columns);
  grid.style.height = `${Math.max(0, rows * (layout.height + layout.gap) - layout.gap)}px`;
  draw();
}

function draw() {
  const pitch = layout.height + layout.gap;
  const top = grid.getBoundingClientRect().top;
  const first = Math.max(0, Math.floor((-top - 800) / pitch)) * layout.columns;
  const last = Math.min(shown.length, Math.ceil((window.innerHeight - top + 800) / pitch) * layout.columns);
  for (const [position, element] of drawn) {
    const away = position < first || position >= last;
    if (away && !element.contains(document.activeElement)) {
      element.remove();
      drawn.delete(position);
    }
  }
  const fresh = [];
  for (let position = first; position < last; position += 1) if (!drawn.has(position)) fresh.push(place(position));
  grid.append(...fresh);
  setActive(active);
}

function place(position) {
  const element = card(shown[position], position, shown.length);
  const column = position % layout.columns;
  const row = Math.floor(position / layout.columns);
  element.style.transform = `translate(${column * (layout.width + layout.gap)}px, ${row * (layout.height + layout.gap)}px)`;
  element.addEventListener("focusin", () => {
    decided = null;
    setActive(position);
  });
  drawn.set(position, element);
  return element;
}

function setActive(position) {
  for (const [each, element] of drawn) {
    for (const control of element.querySelectorAll("button")) control.tabIndex = each === position ? 0 : -1;
  }
  active = position;
}

function focusCard(position) {
  if (!shown.length) return;
  const wanted = Math.max(0, Math.min(shown.length - 1, position));
  const row = Math.floor(wanted / layout.columns);
  const top = grid.getBoundingClientRect().top + row * (layout.height + layout.gap);
  const bar = document.querySelector(".bar").offsetHeight + 16;
  if (top < bar) window.scrollBy(0, top - bar);
  else if (top + layout.height > window.innerHeight) window.scrollBy(0, top + layout.height - window.innerHeight + 24);
  draw();
  drawn.get(wanted)?.querySelector(".picture").focus({ preventScroll: true });
}

function redrawJob(job) {
  for (const [position, element] of drawn)
    if (currentShot(shown[position])?.job === job) dress(element, shown[position]);
}

const STEPS = {
  ArrowLeft: () => -1,
  ArrowRight: () => 1,
  ArrowUp: () => -layout.columns,
  ArrowDown: () => layout.columns,
  PageUp: () => -layout.columns * 3,
  PageDown: () => layout.columns * 3,
  Home: () => -Infinity,
  End: () => Infinity,
};

function watchGrid() {
  let asked = false;
  const soon = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
  window.addEventListener("scroll", soon, { passive: true });
  let before = grid.clientWidth;
  new ResizeObserver(() => {
    if (grid.clientWidth !== before) showItems(shown);
    before = grid.clientWidth;
  }).observe(grid);
  $("zoom").addEventListener("input", () => showItems(shown));
}
