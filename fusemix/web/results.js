// The results as a grid: cards, moving among them by arrow keys, and one sound that plays.
"use strict";
import { FIRST, toAddress } from "./query.js";

const list = document.getElementById("results");
const player = new Audio();
let hits = [];
let playing = null; // the card whose sound plays
let fetching = 0; // counts what was shown
let wanted = {}; // what a person may want of a hit: like, also, look

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export const counted = (number) => number.toLocaleString("en");
export const nameOf = (hit) => hit.captions[0] ?? hit.path ?? hit.id;

// Over http, and where the browser forbids it, there is no clipboard; then what is selected is copied.
export async function copyPath(hit, place = document.body) {
  const text = hit.path ?? hit.within ?? hit.id;
  const focused = document.activeElement;
  let done = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = make("textarea", { class: "hidden", readonly: "", "aria-hidden": "true" });
    field.value = text;
    place.append(field);
    field.select();
    done = document.execCommand("copy");
    field.remove();
    focused?.focus();
  }
  tell(place, done ? `Copied: ${text}` : `It cannot be copied here: ${text}`);
}

let telling = 0;
function tell(place, words) {
  const told = place.querySelector(":scope > .told") ?? place.appendChild(make("p", { class: "told", role: "status" }));
  told.textContent = "";
  clearTimeout(telling);
  requestAnimationFrame(() => (told.textContent = words)); // a change, so that it is read out
  telling = setTimeout(() => told.replaceChildren(), 4000);
}

export function onWanted(does) {
  wanted = does;
}

const cards = () => [...list.querySelectorAll(":scope > .hit")];
export const numShown = () => cards().length;

// Results up to the last one that does not score below the cut of its modality; all, where the cut of some is not known.
export function numAbove(found, cuts) {
  if (found.some((hit) => !(hit.modality in cuts))) return found.length;
  return found.findLastIndex((hit) => hit.score >= cuts[hit.modality]) + 1;
}

// What was found, for the line above the results.
export function told({ results: found, num_items: most, cuts, took_ms: took }) {
  const milliseconds = (value) => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
  const detail = make("span", { class: "detail" }, `query ${milliseconds(took.encode)}, search ${milliseconds(took.search)}`);
  const same = found.reduce((sum, hit) => sum + hit.duplicates.length, 0);
  const many = `${counted(found.length)}${same ? ` and ${counted(same)} almost the same` : ""}`;
  const none = found.length && !numAbove(found, cuts) ? "Nothing fits. " : "";
  return [`${none}${many} of ${counted(most)} in ${milliseconds(took.total)}`, detail];
}

// `keep` leaves the cards that are there already and adds the others; `cuts` says where to draw the line.
export function show(found, { keep = false, cuts = {} } = {}) {
  const there = keep ? numShown() : 0;
  if (!there) {
    stop();
    list.replaceChildren();
  }
  hits = found;
  list.append(...hits.slice(there).map((hit, place) => card(hit, there + place)));
  drawLine(numAbove(hits, cuts));
  fetchOn(++fetching);
  if (!there) moveTo(0);
}

function drawLine(above) {
  list.querySelector(":scope > .cut")?.remove();
  const words = above ? "Below, more likely wrong than right" : "All of these are more likely wrong than right";
  cards()[above]?.before(make("li", { class: "cut" }, words));
}

// Near duplicates that were opened go behind their result again.
export function close() {
  for (const badge of list.querySelectorAll(".same[aria-expanded=true]")) toggleGroup(badge.closest(".hit"));
}

function toggleGroup(item) {
  const badge = item.querySelector(".same");
  const place = placeOf(item);
  const others = hits[place].duplicates;
  const isOpen = badge.getAttribute("aria-expanded") === "true";
  badge.setAttribute("aria-expanded", !isOpen);
  hits = isOpen ? hits.toSpliced(place + 1, others.length) : hits.toSpliced(place + 1, 0, ...others);
  if (isOpen) others.forEach(() => item.nextElementSibling.remove());
  else item.after(...others.map((hit) => card(hit, place, "twin")));
  for (const [at, other] of cards().entries()) other.dataset.place = at;
  moveTo(place);
}

export function focusOn(place) {
  moveTo(place);
  cards()[place]?.querySelector(".seed").focus();
}

function card(hit, place, more = "") {
  const seed = make("a", { class: "seed", href: toAddress([{ kind: "like", like: hit.id }]), draggable: "false", tabindex: "-1" });
  seed.append(box(hit, place), make("span", { class: "words", dir: "auto" }, hit.modality === "text" ? hit.id : nameOf(hit)));
  if (hit.score !== undefined) seed.append(make("span", { class: "score" }, make("b", {}, `${place + 1}`), ` ${hit.score.toFixed(3)}`));
  seed.append(make("span", { class: "hidden" }, ". More like this"));
  const item = make("li", { class: `hit of-${hit.modality} ${more}`, "data-place": place }, seed);
  if (hit.modality === "audio") item.append(button("play", "Play", PLAY));
  if (hit.duplicates?.length) item.append(groupButton(hit.duplicates.length));
  item.append(button("look", "Look closely", LOOK), button("also", "Add to the query", ADD));
  return item;
}

const icon = (path) => `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${path}"/></svg>`;
const PLAY = icon("M8 5.5v13l10.5-6.5z") + icon("M8 6h3v12H8zM13.5 6h3v12h-3z");
const LOOK = icon("M14 4h6v6M20 4l-7 7M10 20H4v-6M4 20l7-7");
const ADD = icon("M12 5v14M5 12h14");

function button(name, label, drawing) {
  const made = make("button", { type: "button", class: name, "aria-label": label, title: label, tabindex: "-1" });
  made.innerHTML = drawing; // one of the drawings above
  return made;
}

function groupButton(count) {
  const about = { "aria-label": `${count} almost the same`, title: `${count} almost the same`, "aria-expanded": "false" };
  return make("button", { type: "button", class: "same", tabindex: "-1", ...about }, `+${count}`);
}

function box(hit, place) {
  const made = make("span", { class: "box" });
  if (hit.modality === "image") {
    const picture = make("img", { alt: "", loading: place < FIRST ? "eager" : "lazy", decoding: "async", draggable: "false" });
    picture.addEventListener("error", () => made.replaceChildren(gone(hit)));
    picture.src = hit.media;
    made.append(picture);
  } else if (hit.modality === "audio") {
    made.append(outline(hit));
  } else {
    made.append(make("span", { class: "text", dir: "auto" }, nameOf(hit)));
  }
  return made;
}

// Paper does not scroll: pictures far below are fetched, too, one after another, besides those that come into sight.
function fetchOn(mine) {
  if (mine !== fetching) return;
  for (const picture of list.querySelectorAll("img[loading=lazy]")) {
    picture.loading = "eager";
    if (picture.complete) continue;
    for (const end of ["load", "error"]) picture.addEventListener(end, () => fetchOn(mine), { once: true });
    return;
  }
}

addEventListener("beforeprint", () => {
  for (const picture of list.querySelectorAll("img[loading=lazy]")) picture.loading = "eager";
});

export function outline(hit) {
  const made = make("span", { class: "outline" });
  made.style.setProperty("--outline", `url("${hit.media}&size=outline")`);
  return made;
}

export const GONE = "cannot be shown here any more";
const gone = (hit) => make("span", { class: "gone" }, GONE, make("span", { class: "id" }, hit.id));

// One card can be reached by Tab, with its buttons; arrow keys go to the others.
function moveTo(place) {
  for (const element of list.querySelectorAll("[tabindex='0']")) element.tabIndex = -1;
  for (const element of cards()[place]?.querySelectorAll("a, button") ?? []) element.tabIndex = 0;
}

const placeOf = (element) => Number(element.closest(".hit").dataset.place);

function columns() {
  const tops = cards().map((item) => item.offsetTop);
  return tops.filter((top) => top === tops[0]).length;
}

const STEPS = {
  ArrowLeft: () => -1,
  ArrowRight: () => 1,
  ArrowUp: () => -columns(),
  ArrowDown: columns,
  Home: () => -Infinity,
  End: () => Infinity,
};

list.addEventListener("focusin", (event) => event.target.closest(".hit") && moveTo(placeOf(event.target)));

list.addEventListener("keydown", (event) => {
  if (!event.target.closest(".hit") || event.ctrlKey || event.metaKey || event.altKey) return;
  const place = placeOf(event.target);
  const onSeed = event.target.matches(".seed");
  if (event.key in STEPS) {
    const next = place + STEPS[event.key]();
    if (next < 0 && event.key === "ArrowUp") wanted.up();
    else focusOn(Math.min(Math.max(next, 0), numShown() - 1));
  } else if (event.key === "o") wanted.look(hits, place);
  else if (event.key === "+") wanted.also(hits[place]);
  else if (event.key === "c") copyPath(hits[place]);
  else if (event.key === " " && onSeed && hits[place].modality === "audio") toggle(cards()[place]);
  else return;
  event.preventDefault();
});

list.addEventListener("click", (event) => {
  const hit = event.target.closest(".hit");
  if (!hit || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const place = placeOf(hit);
  const pressed = event.target.closest("button, .seed");
  if (!pressed) return;
  event.preventDefault();
  if (pressed.matches(".seed")) wanted.like(hits[place]);
  if (pressed.matches(".look")) wanted.look(hits, place);
  if (pressed.matches(".also")) wanted.also(hits[place]);
  if (pressed.matches(".same")) toggleGroup(hit);
  if (pressed.matches(".play")) toggle(hit);
});

function toggle(item) {
  const again = playing === item;
  stop();
  if (again) return;
  playing = item;
  item.classList.add("playing");
  item.querySelector(".play").setAttribute("aria-label", "Stop");
  player.src = hits[placeOf(item)].media;
  player.play().catch((error) => {
    if (error.name === "AbortError" || playing !== item) return;
    stop();
    item.querySelector(".box").replaceChildren(gone(hits[placeOf(item)]));
  });
  requestAnimationFrame(follow);
}

export function stop() {
  player.pause();
  if (!playing) return;
  playing.classList.remove("playing");
  playing.style.removeProperty("--played");
  playing.querySelector(".play").setAttribute("aria-label", "Play");
  playing = null;
}

function follow() {
  if (!playing) return;
  if (player.duration) playing.style.setProperty("--played", `${(100 * player.currentTime) / player.duration}%`);
  requestAnimationFrame(follow);
}

player.addEventListener("ended", stop);
