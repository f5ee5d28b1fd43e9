// The pictures of the lightbox, side by side: what it was before, and every version, the one that marks go to outlined.

function figures(item, selected, select) {
  const shot = item.shots[selected];
  const before = shot ? shot.sources.map((source) => sourceFigure(source)) : [];
  const versions = item.shots.map((each, index) => versionFigure(item, each, index === selected, () => select(index)));
  // Oldest first: one reads from left to right how it went.
  return [...before.filter(Boolean), ...versions.reverse().flat()];
}

function sourceFigure(source) {
  if (source.link && !source.large) return null;
  const shows = source.large
    ? sourceImage(source.large, `Before: ${source.name}`)
    : make("span", { class: "absent" }, source.problem);
  return make(
    "figure",
    {},
    make("div", { class: "frame" }, shows),
    make("figcaption", {}, "Before", quiet(source.name)),
  );
}

function versionFigure(item, shot, isSelected, select) {
  const several = item.shots.length > 1;
  const mark = markOf(shot.job);
  const label = several ? `Version ${shot.version}` : shot.sources.some((source) => source.thumb) ? "After" : "Picture";
  const words = [mark.verdict ? verdictText(mark) : "", shot.status === "done" ? "" : STATUS[shot.status]]
    .filter(Boolean)
    .join(" · ");
  const files = shot.files.length ? shot.files : [null];
  return files.map((file, index) => {
    const number = files.length > 1 ? ` ${index + 1} of ${files.length}` : "";
    const figure = make("figure", {
      class: isSelected ? "chosen" : undefined,
      "data-verdict": mark.verdict,
      "data-version": String(shot.version),
      "data-job": String(shot.job),
    });
    const frame = several
      ? button(
          "",
          { class: "frame", "aria-pressed": String(isSelected), "aria-label": `Choose version ${shot.version}` },
          select,
        )
      : make("div", { class: "frame" });
    frame.append(file ? shownFile(item, shot, file) : absence({ ...item, shots: [shot] }, shot));
    figure.append(frame, make("figcaption", {}, label + number, quiet(words)));
    return figure;
  });
}

function shownFile(item, shot, file) {
  if (file.video)
    return make("video", {
      src: addressOf(file.path),
      controls: true,
      preload: "metadata",
      "aria-label": nameOf(shot),
    });
  if (!file.thumb) return make("span", { class: "absent" }, file.problem);
  return wholeImage(file, `${titleOf(item)}, version ${shot.version}: ${promptOf(item, shot).slice(0, 300)}`);
}

// The small picture at once, the preview for who stays, the whole picture for who stays longer: a key held down asks for
// nothing that nobody sees, and who reviews over a slow line reads a fraction of the bytes.
const STAYS_MS = 150;
const STUDIES_MS = 1000;

function wholeImage(file, words) {
  const small = image(file.thumb, words, file);
  small.loading = "eager";
  const steps = [
    [STAYS_MS, file.large],
    [file.large ? STUDIES_MS : STAYS_MS, file.path],
  ];
  improve(
    small,
    steps.filter(([, path]) => path),
    () => image(undefined, words, file),
  );
  return small;
}

async function improve(shown, steps, makeImage) {
  for (const [milliseconds, path] of steps) {
    await new Promise((resume) => setTimeout(resume, milliseconds));
    if (!shown.isConnected) return;
    const better = makeImage();
    better.loading = "eager";
    better.src = addressOf(path);
    try {
      await better.decode();
    } catch {
      continue;
    }
    shown.replaceWith(better);
    shown = better;
  }
}

const quiet = (text) => (text ? make("span", { class: "quiet" }, ` ${text}`) : null);

function facts(item, shot) {
  const list = make("dl", { class: "facts" });
  const tell = (name, value) => value && list.append(make("div", {}, make("dt", {}, name), make("dd", {}, value)));
  if (shot) {
    tell(
      "Size",
      [shot.size, shot.files[0]?.width ? `${shot.files[0].width} × ${shot.files[0].height} px` : ""]
        .filter(Boolean)
        .join(" · "),
    );
    tell("Cost", shot.cost === undefined ? "" : money(shot.cost));
    tell("Time", shot.seconds === undefined ? "" : seconds(shot.seconds));
    for (const file of shot.files)
      tell("File", make("a", { href: addressOf(file.path), target: "_blank" }, file.name || file.path.replace(/^files\//, "")));
    for (const source of shot.sources) if (source.link) tell("Source", link(source.link));
    tell("Request", shot.request);
  }
  return list;
}

function cellList(item) {
  const list = make("dl", { class: "facts" });
  const cells = [
    ...data.columns.map((name, index) => [name, cellsOf(item)[index]]),
    ...Object.entries(item.over || {}),
  ];
  for (const [name, value] of cells) {
    if (value)
      list.append(
        make("div", {}, make("dt", {}, name), make("dd", {}, /^https?:\/\/\S+$/.test(value) ? link(value) : value)),
      );
  }
  return list;
}
