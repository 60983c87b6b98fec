// A query as parts that are added up, its address, and what the server is asked.
// A part has `kind` and a value: {kind: "text", text}, {kind: "like", like}, {kind: "image", embedding}; and `weight`,
// where that is not 1.
// `wanted` is the modality that is looked for; empty: what fits the query. `filters` are [name, value] each.
"use strict";

const { base } = JSON.parse(document.getElementById("settings").textContent); // path that the server lies below
export const FIRST = 40; // results at first
const LOCKED = 401; // after a restart of the server; its address with the token, in another tab, opens this one, too
const STEP = 3; // times as many with each "Show more"

export function fromAddress(search) {
  const parts = [];
  const given = new URLSearchParams(search);
  for (const [name, value] of given) {
    if (name === "q" && value.trim()) parts.push({ kind: "text", text: value });
    if (name === "like") parts.push({ kind: "like", like: value });
    if (name === "e") {
      const [, kind, embedding] = value.match(/^(?:(\w+)\.)?(.*)$/s);
      parts.push({ kind: kind ?? "embedding", embedding });
    }
    if (name === "w" && parts.length) parts.at(-1).weight = Number(value);
  }
  const k = Number(given.get("k"));
  const filters = given.getAll("f").map((word) => [word.split("=", 1)[0], word.slice(word.indexOf("=") + 1)]);
  return { parts, k: Number.isInteger(k) && k >= 1 ? k : FIRST, wanted: given.get("of") ?? "", filters };
}

export function toAddress(parts, k = FIRST, wanted = "", filters = []) {
  const pairs = new URLSearchParams();
  for (const part of parts) {
    if (part.embedding !== undefined) pairs.append("e", `${part.kind}.${part.embedding}`);
    else pairs.append(part.kind === "like" ? "like" : "q", part[part.kind]);
    if (part.weight !== undefined) pairs.append("w", part.weight);
  }
  if (wanted) pairs.append("of", wanted);
  for (const [name, value] of filters) pairs.append("f", `${name}=${value}`);
  if (k !== FIRST) pairs.append("k", k);
  return pairs.size ? `${base}/?${pairs}` : `${base}/`;
}

const TERM = /\s*(?:([+\-−–])\s*)?(?:([0-9]+(?:[.,][0-9]+)?)\s*[*×]\s*)?["“”„]\s*([^"“”„\s][^"“”„]*)["“”„]\s*/y;

// What was typed as parts: `2*"red" - "car"` is a sum, anything else plain words. As terms_of in search/typed.py.
export function termsOf(typed) {
  const parts = [];
  TERM.lastIndex = 0;
  while (TERM.lastIndex < typed.length) {
    const [, sign, factor, text] = TERM.exec(typed) ?? [];
    if (!text || (parts.length && !sign)) return [{ kind: "text", text: typed.trim() }];
    const weight = Number((factor ?? "1").replace(",", ".")) * (sign === undefined || sign === "+" ? 1 : -1);
    parts.push({ kind: "text", text: text.trim(), ...(weight !== 1 && { weight }) });
  }
  return parts;
}

// What `location.search` is at an address.
export const searchOf = (address) => new URL(address, location.origin).search;

export const more = (k, most) => Math.min(k * STEP, most);

// `again` says whether the same may be asked again with hope.
const failure = (message, again) => Object.assign(new Error(message), { again });

// Throws an Error whose message is for people.
export async function ask(parts, files, { k, wanted, filters }, signal) {
  const of = (kind) => (kind === "embedding" ? {} : { embedding_of: kind });
  const queries = parts.map(({ kind, weight, ...part }) => ({
    ...(part.embedding !== undefined ? { embedding: part.embedding, ...of(kind) } : { [kind]: part[kind] }),
    weight,
  }));
  for (const file of files) queries.push({ [kindOf(file)]: await base64(file) });
  let response;
  try {
    response = await fetch(`${base}/api/search`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({
        queries, k, group_duplicates: true, ...(wanted && { modality: wanted }), ...(filters.length && { filter: byName(filters) }),
      }),
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw failure("The server does not answer. Is it still running?", true);
  }
  const answer = await response.json().catch(() => ({ error: `The server answered with status ${response.status}.` }));
  if (!response.ok) throw failure(sentence(answer.error), response.status >= 500 || response.status === LOCKED);
  return answer;
}

function byName(filters) {
  const found = {};
  for (const [name, value] of filters) (found[name] ??= []).push(value);
  return found;
}

export const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}${text.endsWith(".") ? "" : "."}`;

// Where a system has no type for a telephone's pictures, their names tell.
export const kindOf = (file) => file.type.split("/")[0] || (/\.(heic|heif|hif)$/i.test(file.name) ? "image" : "");

// What can be said of a file before it is sent; empty where nothing is wrong.
export function problemWith(file, { modalities, limits }) {
  const kinds = { image: "a picture", audio: "a sound" };
  const known = Object.keys(kinds).filter((kind) => modalities.includes(kind));
  if (!known.includes(kindOf(file))) return `${file.name} is not ${known.map((kind) => kinds[kind]).join(" or ")}.`;
  const size = file.size / 1e6;
  return size > limits.upload_mb ? `${file.name} has ${size.toFixed(1)} MB; ${limits.upload_mb} MB are the most.` : "";
}

function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result.slice(reader.result.indexOf(",") + 1)));
    reader.addEventListener("error", () => reject(new Error(`${file.name} cannot be read.`)));
    reader.readAsDataURL(file);
  });
}
