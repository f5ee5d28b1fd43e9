// One card of the grid: the picture (or why there is none), what it is called, and what was decided.

let sides = true;

function card(item, position, total) {
  const shot = currentShot(item);
  const open = button("", { class: "picture", tabindex: "-1" }, () => openBox(position));
  open.append(...(hasPicture(shot) ? pictures(item, shot) : [absence(item, shot)]));
  const element = make(
    "li",
    { class: "card", "aria-setsize": String(total), "aria-posinset": String(position + 1) },
    open,
  );
  element.append(caption(item, shot));
  if (hasPicture(shot)) element.append(verdicts(shot.job));
  dress(element, item);
  return element;
}

function dress(element, item) {
  const shot = currentShot(item);
  const mark = shot ? markOf(shot.job) : nothing;
  element.dataset.verdict = mark.verdict;
  element.dataset.status = statusOf(item);
  element.firstElementChild.setAttribute("aria-label", spokenName(item, shot, mark));
  for (const each of element.querySelectorAll("[data-choose]")) {
    each.setAttribute("aria-pressed", String(each.dataset.choose === mark.verdict));
  }
}

function spokenName(item, shot, mark) {
  const told = [titleOf(item), rowName(item)];
  if (shot && shot.size) told.push(shot.size);
  if (shot && shot.version > 1) told.push(`version ${shot.version}`);
  told.push(STATUS[statusOf(item)]);
  if (mark.verdict) told.push(verdictText(mark));
  if (mark.note) told.push(`note: ${mark.note}`);
  for (const flag of shot?.flags || []) told.push(flagText(flag));
  return told.join(", ");
}

function pictures(item, shot) {
  const [file] = shot.files;
  const before = sides ? localSources(shot)[0] : undefined;
  const after = file.thumb
    ? image(file.thumb, "", file)
    : make("span", { class: "absent" }, file.video ? "Video" : file.problem);
  const parts = before ? [side(sourceImage(before.thumb, ""), "Before"), side(after)] : [after];
  const badges = make("span", { class: "badges" });
  if (shot.version > 1) badges.append(make("span", { class: "badge" }, `v${shot.version}`));
  if (shot.files.length > 1) badges.append(make("span", { class: "badge" }, plural(shot.files.length, "picture")));
  for (const flag of shot.flags || [])
    badges.append(make("span", { class: "badge odd" }, icon("problem"), flagText(flag)));
  return [make("span", { class: before ? "pair" : "single" }, ...parts), badges];
}

const side = (content, label) =>
  make("span", { class: "side" }, content, label ? make("span", { class: "tag" }, label) : null);

function image(path, words, file = {}) {
  return make("img", {
    src: path && addressOf(path),
    alt: words,
    loading: "lazy",
    decoding: "async",
    draggable: "false",
    width: file.width || undefined,
    height: file.height || undefined,
  });
}

function absence(item, shot) {
  const status = statusOf(item);
  const drawing = ["planned", "submitted"].includes(status) ? "wait" : "problem";
  const reason = reasonOf(item, shot);
  return make(
    "span",
    { class: "absent" },
    icon(drawing),
    make("strong", {}, STATUS[status]),
    reason ? make("span", { class: "why" }, reason) : null,
  );
}

function caption(item, shot) {
  const about = make("p", { class: "about" });
  const facts = [shot?.size, shot?.variant > 1 ? `variant ${shot.variant}` : "", ...Object.values(item.over || {})];
  if (shot?.cost !== undefined) facts.push(money(shot.cost));
  if (shot?.seconds !== undefined) facts.push(seconds(shot.seconds));
  about.append(facts.filter(Boolean).join(" · "));
  const words = shot ? promptOf(item, shot) : "";
  return make(
    "div",
    { class: "caption" },
    make("p", { class: "name" }, titleOf(item)),
    make("p", { class: "prompt" }, words),
    about,
  );
}

const CHOICES = [
  ["approve", "Approve", "A"],
  ["hold", "Hold", "H"],
  ["reject", "Reject", "R"],
];

function verdicts(job) {
  const group = make("div", { class: "verdicts", role: "group", "aria-label": "Decision" });
  for (const [verdict, label, key] of CHOICES) {
    const choose = () => decide(job, markOf(job).verdict === verdict ? "" : verdict);
    const each = button(
      icon(verdict),
      { "data-choose": verdict, "aria-label": label, title: `${label} (${key})`, tabindex: "-1" },
      choose,
    );
    group.append(each);
  }
  return group;
}

function decide(job, verdict) {
  if (!setMark(job, { verdict })) return;
  const progress = progressNow();
  const name = titleOf(itemsOf.get(job)[0]);
  say(
    `${name}: ${verdict ? VERDICTS[verdict] : "decision taken back"}. ${count(progress.looked)} of ${count(progress.all)} looked at.`,
  );
}
