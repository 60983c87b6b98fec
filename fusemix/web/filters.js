// What items are filtered by: chips below the field, and what to choose from. Names and values are anybody's words.
// `active` holds [name, value] of each filter, as the address has them.
"use strict";
import { make } from "./results.js";

const place = document.getElementById("filters");
const NAMES = { folder: "Folder", taken: "Year", camera: "Camera" };
const nameOf = (name) => NAMES[name] ?? name.replaceAll("_", " ");
let facets = [];
let asking = 0; // counts what was asked
let active = [];
let changed = () => {};

export const now = () => active;

export function onChange(does) {
  changed = does;
}

export function show(filters) {
  active = filters;
  render();
}

// What there is to choose from, each value with the items that are left with it, and how many pass what is chosen.
// `isText` says whether words are searched by, which find no texts unless these are wanted.
export async function load(base, wanted, isText) {
  const mine = ++asking;
  const asked = new URLSearchParams(active.map(([name, value]) => ["f", `${name}=${value}`]));
  if (wanted) asked.append("of", wanted);
  if (isText) asked.append("by", "text");
  const response = await fetch(`${base}/api/filters?${asked}`);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  const found = answer.filters.filter(({ values }) => values.length);
  if (mine === asking && JSON.stringify(found) !== JSON.stringify(facets)) {
    facets = found;
    render();
  }
  return answer.num_items;
}

const isActive = (name, value) => active.some(([one, other]) => one === name && other === value);
const without = (name, value) => active.filter(([one, other]) => one !== name || other !== value);

function render() {
  const open = place.querySelector("details[open]")?.dataset.name;
  place.hidden = !facets.length && !active.length;
  place.replaceChildren(...active.map(chip), ...facets.map((facet) => choice(facet, facet.name === open)));
}

function chip([name, value]) {
  const said = `${nameOf(name)}: ${value}`;
  const remove = make("button", { type: "button", "aria-label": `Remove the filter ${said}`, title: "Remove" }, "×");
  remove.addEventListener("click", () => changed(without(name, value)));
  return make("span", { class: "set" }, make("span", { dir: "auto" }, said), remove);
}

function choice({ name, values }, isOpen) {
  const made = make("details", { "data-name": name, name: "filter" }, make("summary", { dir: "auto" }, nameOf(name)));
  made.open = isOpen;
  made.append(make("ul", {}, ...values.map((one) => make("li", {}, button(name, one)))));
  return made;
}

function button(name, { value, num_items: count }) {
  const made = make("button", { type: "button", "aria-pressed": isActive(name, value) });
  made.append(make("span", { dir: "auto" }, value), make("span", { class: "count" }, count.toLocaleString("en")));
  made.addEventListener("click", () => {
    place.querySelector("details[open]").open = false;
    changed(isActive(name, value) ? without(name, value) : [...active, [name, value]]);
  });
  return made;
}

document.addEventListener("click", (event) => {
  const open = place.querySelector("details[open]");
  if (open && !open.contains(event.target)) open.open = false;
});
place.addEventListener("keydown", (event) => {
  const open = place.querySelector("details[open]");
  if (event.key !== "Escape" || !open) return;
  open.open = false;
  open.querySelector("summary").focus();
});
