// A closer look at one result: larger, with all that is known of it.
"use strict";
import { GONE, copyPath, make, nameOf, outline, stop } from "./results.js";
import { toAddress } from "./query.js";

const dialog = document.getElementById("larger");
const part = (name) => dialog.querySelector(`.${name}`);
let hits = [];
let place = 0;
let wanted = {}; // like, also, and closed with the place that was looked at last

export function onWanted(does) {
  wanted = does;
}

export function look(found, at) {
  hits = found;
  place = at;
  stop();
  draw();
  if (!dialog.open) dialog.showModal();
}

function draw() {
  const hit = hits[place];
  part("stage").replaceChildren(...shown(hit));
  part("stage").dataset.modality = hit.modality;
  part("words").textContent = hit.modality === "text" ? "" : nameOf(hit);
  part("captions").replaceChildren(...hit.captions.slice(1).map((words) => make("li", { dir: "auto" }, words)));
  const facts = { place: `${place + 1} of ${hits.length}`, score: hit.score?.toFixed(4), id: hit.id, path: hit.path, within: hit.within };
  const lines = Object.entries(facts).filter(([, value]) => value);
  part("facts").replaceChildren(...lines.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
  part("copy").textContent = hit.path ?? hit.within ? "Copy path" : "Copy id";
  part("like").href = toAddress([{ kind: "like", like: hit.id }]);
  part("back").disabled = place === 0;
  part("on").disabled = place === hits.length - 1;
}

function shown(hit) {
  if (hit.modality === "text") return [make("p", { class: "text", dir: "auto" }, nameOf(hit))];
  const isPicture = hit.modality === "image";
  const made = isPicture ? make("img", { alt: nameOf(hit) }) : make("audio", { controls: "", "aria-label": nameOf(hit) });
  made.addEventListener("error", () => part("stage").replaceChildren(make("p", { class: "gone" }, GONE)));
  made.src = `${hit.media}&size=large`;
  return isPicture ? [made] : [outline(hit), made];
}

function step(by) {
  if (!hits[place + by]) return;
  place += by;
  draw();
}

part("back").addEventListener("click", () => step(-1));
part("on").addEventListener("click", () => step(1));
part("close").addEventListener("click", () => dialog.close());
part("copy").addEventListener("click", () => copyPath(hits[place], dialog));
part("also").addEventListener("click", () => {
  dialog.close();
  wanted.also(hits[place]);
});
part("like").addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  dialog.close();
  wanted.like(hits[place]);
});
dialog.addEventListener("keydown", (event) => {
  if (event.target.matches("audio")) return; // there they wind
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
  if (event.key === "c" && !event.ctrlKey && !event.metaKey && !event.altKey) copyPath(hits[place], dialog);
});
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close()); // beside it
dialog.addEventListener("close", () => {
  part("stage").replaceChildren(); // a sound stops
  wanted.closed(place);
});
