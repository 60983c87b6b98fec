// The page: its address says what is searched; everything else follows from it.
"use strict";
import { ask, fromAddress, kindOf, more, problemWith, searchOf, sentence, termsOf, toAddress } from "./query.js";
import * as filtering from "./filters.js";
import * as larger from "./larger.js";
import * as results from "./results.js";

const byId = (id) => document.getElementById(id);
const { counted, make } = results;
const settings = JSON.parse(byId("settings").textContent);
const samples = JSON.parse(byId("samples").textContent);
const words = byId("words");
const title = document.title;

const ANSWERS_KEPT = 30;
const answers = new Map(); // address -> answer, so that going back takes no time
const dropped = new Map(); // embedding -> {name, url} of what was dropped in this tab
const known = new Map(); // id -> what a result said of an item
let shownParts = null; // whose results are on the page, as text
let running = new AbortController();

// --- from the address to the page

// What was asked before is not waited for any more.
function begin() {
  running.abort();
  running = new AbortController();
  byId("results").removeAttribute("aria-busy");
}

async function render({ focus = false } = {}) {
  const { parts, k, wanted, filters } = fromAddress(location.search);
  begin();
  showWanted(wanted);
  filtering.show(filters);
  const texts = parts.filter((part) => part.kind === "text" && part.weight === undefined);
  words.value = texts.at(-1)?.text ?? "";
  showChips(parts.filter((part) => part !== texts.at(-1)));
  problem("");
  byId("start").hidden = parts.length > 0 || filters.length > 0;
  document.title = parts.length ? `${parts.map(signed).join(" ").replace(/^\+ /, "")} · ${title}` : title;
  showFilters(parts);
  if (!parts.length) return showStart();
  try {
    const answer = answers.get(location.search) ?? (await patiently(ask(parts, [], { k, wanted, filters }, running.signal)));
    keep(location.search, answer);
    showAnswer(answer, parts, k, focus);
  } catch (error) {
    if (error.name === "AbortError") return;
    const again = error.again && (() => render({ focus }));
    if (again && shownParts !== null) return problem(`${error.message} Below are the results of before.`, again);
    shownParts = null;
    results.show([]);
    byId("more").hidden = true;
    problem(error.message, again);
  }
}

function showStart() {
  byId("status").textContent = "";
  byId("more").hidden = true;
  shownParts = null;
  results.show(filtering.now().length ? [] : samples);
}

// What there is to filter by; without a query, how many items pass.
async function showFilters(parts) {
  const mine = location.search;
  const isShown = () => mine === location.search && !parts.length && filtering.now().length;
  try {
    const count = await filtering.load(settings.base, wantedNow(), parts.some(({ kind }) => kind === "text"));
    if (isShown()) byId("status").textContent = `${counted(count)} of ${counted(settings.num_items)} to search among`;
  } catch (error) {
    if (isShown()) problem(sentence(error.message));
  }
}

function showAnswer(answer, parts, k, focus) {
  for (const hit of [...answer.results, ...answer.query.parts]) if (hit.media) known.set(hit.id ?? hit.like, hit);
  showChips(chips());
  const same = shownParts === addressOf(parts);
  results.close();
  const before = results.numShown();
  results.show(answer.results, { keep: same && before < answer.results.length, cuts: answer.cuts });
  shownParts = addressOf(parts);
  const most = Math.min(answer.num_items, settings.limits.k);
  byId("more").hidden = answer.results.length < k || answer.results.length >= most;
  byId("status").replaceChildren(...results.told(answer));
  if (focus && document.activeElement !== words) results.focusOn(same ? before : 0); // who went to type meanwhile stays
}

// Says that it searches, where that takes longer than a moment.
async function patiently(promise) {
  const mine = running;
  byId("results").setAttribute("aria-busy", "true");
  const timer = setTimeout(() => (byId("status").textContent = "Searching …"), 150);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    if (running === mine) byId("results").removeAttribute("aria-busy");
  }
}

function keep(address, answer) {
  answers.delete(address);
  answers.set(address, answer);
  if (answers.size > ANSWERS_KEPT) answers.delete(answers.keys().next().value);
}

// `again` does what failed once more.
function problem(message, again) {
  byId("problem").replaceChildren(message);
  if (again) {
    const button = make("button", { type: "button" }, "Try again");
    button.addEventListener("click", again);
    byId("problem").append(button);
  }
  byId("problem").hidden = !message;
  if (message) byId("status").textContent = "";
}

// --- chips: everything in the query but the words in the field

const NAMES = { image: "a picture", audio: "a sound", embedding: "an embedding" };

function label(part) {
  if (part.kind === "text") return part.text;
  if (part.kind === "like") return `like ${known.has(part.like) ? results.nameOf(known.get(part.like)) : part.like}`;
  return dropped.get(part.embedding)?.name ?? NAMES[part.kind] ?? NAMES.embedding;
}

// With its sign, and by how much it counts: `+ a dog`, `− 2 × a dog`.
function signed(part) {
  const { weight = 1 } = part;
  const factor = Math.abs(weight) === 1 ? "" : `${Number(Math.abs(weight).toPrecision(6))} × `;
  return `${weight < 0 ? "−" : "+"} ${factor}${label(part)}`;
}

const chips = () => [...byId("chips").children].map((chip) => JSON.parse(chip.dataset.part));

function showChips(parts) {
  byId("chips").hidden = !parts.length;
  byId("chips").replaceChildren(...parts.map(chip));
}

function chip(part) {
  const about = part.kind === "like" ? known.get(part.like) : part.kind === "image" ? dropped.get(part.embedding) : undefined;
  const picture = about?.url ?? (about?.modality === "image" ? about.media : null);
  const told = part.weight === undefined ? label(part) : signed(part).replace(/^\+ /, "");
  const remove = make("button", { type: "button", "aria-label": `Remove ${told}`, title: "Remove" }, "×");
  const made = make("li", { class: `of-${part.kind}`, "data-part": JSON.stringify(part) });
  if (picture) made.append(make("img", { src: picture, alt: "", width: 36, height: 36 }));
  made.append(make("span", { dir: "auto" }, told), remove);
  remove.addEventListener("click", () => {
    made.remove();
    go(asked());
    words.focus();
  });
  return made;
}

// What the form says now.
const asked = () => [...chips(), ...termsOf(words.value.trim())];

// --- the modality that is looked for, in an index that holds several

const choices = [...(byId("wanted")?.elements.of ?? [])];
const wantedNow = () => choices.find((choice) => choice.checked)?.value ?? "";
const addressOf = (parts, k) => toAddress(parts, k, wantedNow(), filtering.now());

function showWanted(wanted) {
  for (const choice of choices) choice.checked = choice.value === wanted;
}

byId("wanted")?.addEventListener("change", () => go(asked()));
filtering.onChange((filters) => {
  filtering.show(filters);
  go(asked());
});

// --- from a person to the address

function go(parts, { focus = false } = {}) {
  const address = addressOf(parts);
  if (address !== location.pathname + location.search) history.pushState(null, "", address);
  scrollTo(0, 0);
  render({ focus });
}

const likeThis = (hit) => {
  known.set(hit.id, hit);
  return { kind: "like", like: hit.id };
};
const inResults = () => byId("results").contains(document.activeElement);

results.onWanted({
  like: (hit) => go([likeThis(hit)], { focus: true }),
  also: (hit) => go([...asked(), likeThis(hit)], { focus: inResults() }),
  look: larger.look,
  up: () => words.focus(),
});
larger.onWanted({
  like: (hit) => go([likeThis(hit)], { focus: true }),
  also: (hit) => go([...asked(), likeThis(hit)]),
  closed: (place) => results.focusOn(place),
});

byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  go(asked());
});
byId("home").addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  filtering.show([]);
  go([]);
  words.focus();
});
byId("start").addEventListener("click", (event) => {
  const example = event.target.closest("a");
  if (!example || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go([{ kind: "text", text: example.textContent }]);
});
byId("more").addEventListener("click", () => {
  const { parts, k } = fromAddress(location.search);
  history.replaceState(null, "", addressOf(parts, more(k, settings.limits.k)));
  render({ focus: true });
});
addEventListener("popstate", () => render());
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("larger").open) return;
  if (event.key === "/" && event.target !== words) words.select();
  else if (event.key === "ArrowDown" && event.target === words) results.focusOn(0);
  else return;
  event.preventDefault();
});

// --- pictures and sounds that are dropped, pasted or chosen

async function send(files, { add }) {
  const wrong = files.map((file) => problemWith(file, settings)).find(Boolean);
  if (wrong || !files.length) return problem(wrong ?? "");
  const parts = add ? asked() : [];
  begin();
  problem("");
  try {
    const answer = await patiently(ask(parts, files, { ...fromAddress(""), wanted: wantedNow(), filters: filtering.now() }, running.signal));
    answer.query.parts.slice(parts.length).forEach(({ embedding }, place) => {
      const file = files[place];
      dropped.set(embedding, { name: file.name, url: kindOf(file) === "image" ? URL.createObjectURL(file) : null });
    });
    const sent = [...parts, ...fromAddress(searchOf(answer.query.link)).parts.slice(parts.length)]; // these keep their kinds
    const address = addressOf(sent);
    keep(searchOf(address), answer);
    go(sent);
  } catch (error) {
    if (error.name !== "AbortError") problem(error.message, error.again && (() => send(files, { add })));
  }
}

const drop = byId("drop");
const hasFiles = (event) => event.dataTransfer?.types.includes("Files");

addEventListener("dragover", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  drop.hidden = false;
  drop.querySelector("[data-mode=add]").hidden = !asked().length;
  const mode = event.target.closest?.("[data-mode]");
  for (const area of drop.children) area.classList.toggle("over", area === mode);
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) drop.hidden = true;
});
addEventListener("drop", (event) => {
  drop.hidden = true;
  if (!hasFiles(event)) return;
  event.preventDefault();
  send([...event.dataTransfer.files], { add: event.target.closest?.("[data-mode]")?.dataset.mode === "add" });
});
addEventListener("paste", (event) => {
  if (!event.clipboardData?.files.length) return;
  event.preventDefault();
  send([...event.clipboardData.files], { add: true });
});
byId("choose")?.addEventListener("click", () => byId("file").click());
byId("file")?.addEventListener("change", () => {
  send([...byId("file").files], { add: true });
  byId("file").value = "";
});

for (const origin of document.querySelectorAll(".origin")) origin.textContent = location.origin;
render();
