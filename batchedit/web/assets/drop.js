import { $, Refused, call, count, finished, say, tried, up, warn } from "./page.js";

const zone = $("zone");
const play = Boolean(zone.dataset.play);
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
let sending = null;

// XMLHttpRequest, because fetch does not tell how much of a file is sent.
function send(id, file, name, inside, told) {
  return new Promise((done, refused) => {
    const request = new XMLHttpRequest();
    sending = request;
    const query = new URLSearchParams({ name, inside: inside ? "1" : "0" });
    request.open("PUT", `${up}api/drafts/${id}/file?${query}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.addEventListener("progress", (event) => told(event.loaded));
    request.addEventListener("load", () => {
      if (request.status === 200) return done();
      let message = "The file was not taken.";
      try {
        const answer = JSON.parse(request.responseText);
        message = [answer.message, answer.hint].filter(Boolean).join(". ");
      } catch {
        // The status alone has to do.
      }
      return refused(new Refused(message));
    });
    request.addEventListener("error", () => refused(new Refused("The upload was cut off. Drop the file again.")));
    request.addEventListener("abort", () => refused(new Refused("Cancelled. Nothing was kept.")));
    request.send(file);
  });
}

function show(name, text, share) {
  zone.hidden = true;
  $("link").hidden = true;
  $("sending").hidden = false;
  $("sending-name").textContent = name;
  $("sending-told").textContent = text;
  if (share === null) $("sent").removeAttribute("value");
  else $("sent").value = share;
}

function hide() {
  zone.hidden = false;
  $("link").hidden = false;
  $("sending").hidden = true;
}

// A single file goes under a name of the server's own; a folder's files keep theirs, which the sheet's rows name.
async function drop(files, name) {
  if (!files.length) return warn("There is no file in it.");
  const total = files.reduce((sum, { file }) => sum + file.size, 0);
  const inside = files.length > 1;
  const well = await tried(async () => {
    const { id } = await call("drafts", { play });
    let before = 0;
    for (const { file, path } of files) {
      await send(id, file, path, inside, (sent) =>
        show(name, `${megabytes(before + sent)} of ${megabytes(total)}`, (before + sent) / (total || 1)),
      );
      before += file.size;
    }
    await take(id, { name });
  });
  if (!well) hide();
  return undefined;
}

async function take(id, told) {
  show(told.name, told.link ? "fetching …" : "reading …", null);
  say("Reading the sheet.");
  $("cancel").hidden = true;
  await call(`drafts/${id}/arrived`, told);
  const { error } = await finished("take", id);
  if (error) throw new Refused([error.message, error.hint].filter(Boolean).join(". "));
  location.assign(`${up}drafts/${id}/sheet`);
}

const shown = (path) => !path.split("/").some((part) => part.startsWith("."));

async function inFolder(entry, found) {
  if (entry.isFile) {
    const file = await new Promise((done, refused) => entry.file(done, refused));
    const path = entry.fullPath.replace(/^\//, "");
    if (shown(path)) found.push({ file, path });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((done, refused) => reader.readEntries(done, refused));
    if (!some.length) return;
    for (const each of some) await inFolder(each, found);
  }
}

zone.addEventListener("dragover", (event) => {
  event.preventDefault();
  zone.classList.add("over");
});
zone.addEventListener("dragleave", () => zone.classList.remove("over"));
zone.addEventListener("drop", async (event) => {
  event.preventDefault();
  zone.classList.remove("over");
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
  const found = [];
  for (const entry of entries) await inFolder(entry, found);
  drop(found, entries.length === 1 ? entries[0].name : `${count(found.length)} files`);
});

$("pick").addEventListener("click", () => $("file").click());
$("pick-folder").addEventListener("click", () => $("folder").click());
$("file").addEventListener("change", () => {
  const [file] = $("file").files;
  if (file) drop([{ file, path: file.name }], file.name);
});
$("folder").addEventListener("change", () => {
  const files = [...$("folder").files].map((file) => ({ file, path: file.webkitRelativePath }));
  drop(files.filter(({ path }) => shown(path)), files[0]?.webkitRelativePath.split("/")[0] || "folder");
});
$("cancel").addEventListener("click", () => sending?.abort());
$("link").addEventListener("submit", async (event) => {
  event.preventDefault();
  const link = $("address").value.trim();
  const well = await tried(async () => {
    const { id } = await call("drafts", { play });
    await take(id, { name: "linked sheet", link });
  });
  if (!well) hide();
});
