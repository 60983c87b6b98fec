// Filters the queries, and keeps the view in the address; says what is on the map.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const form = byId("filters");
  const plain = (text) => text.normalize("NFKC").toLowerCase();

  const cards = [...document.querySelectorAll(".card")].map((element) => ({
    element,
    text: plain([...element.querySelectorAll("[data-words]")].map((part) => part.textContent).join("\n")),
  }));

  function filter() {
    const wanted = Object.fromEntries(new FormData(form));
    const words = plain(wanted.words).split(/\s+/).filter(Boolean);
    let count = 0;
    for (const { element, text } of cards) {
      const fits =
        (!wanted.direction || wanted.direction === element.dataset.direction) &&
        (!wanted.kind || wanted.kind === element.dataset.kind) &&
        words.every((word) => text.includes(word));
      element.hidden = !fits;
      if (!fits) for (const sound of element.querySelectorAll("audio")) sound.pause();
      count += fits;
    }
    byId("shown").textContent = `${count} of ${cards.length} queries`;
    byId("none").hidden = count > 0;
  }

  function writeView() {
    const view = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
    history.replaceState(null, "", `#${view.size ? view : "gallery"}`);
  }

  // Links to sections are names without "="; they leave the view as it is.
  function readView() {
    const hash = location.hash.slice(1);
    if (!hash.includes("=")) return false;
    const view = new URLSearchParams(hash);
    for (const name of ["direction", "kind"]) {
      const options = [...(form.elements[name] ?? [])];
      const wanted = options.find((option) => option.value === view.get(name)) ?? options[0];
      if (wanted) wanted.checked = true;
    }
    form.elements.words.value = view.get("words") ?? "";
    return true;
  }

  function restore() {
    if (!readView()) return;
    filter();
    byId("gallery").scrollIntoView();
  }

  form.addEventListener("input", () => {
    filter();
    writeView();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => {
    filter();
    writeView();
  }));
  addEventListener("hashchange", restore);

  function read(event) {
    const titles = event.target.closest("g")?.querySelectorAll("title");
    if (titles) byId("reading").textContent = [...titles].map((title) => title.textContent).join("\n");
  }
  byId("map")?.addEventListener("pointerover", read);
  byId("map")?.addEventListener("click", read);

  filter(); // a browser that comes back to the page may have kept what was typed
  restore();
})();
