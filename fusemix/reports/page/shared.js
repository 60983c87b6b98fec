// Gives the pictures and sounds of the page their data, says which tables are wider than they seem, and opens what is
// folded for the time of printing, but for what is long and in part shown already.
"use strict";
(() => {
  const media = JSON.parse(document.getElementById("media").textContent);
  for (const element of document.querySelectorAll("[data-medium]")) element.src = media[element.dataset.medium];

  // One sound at a time.
  document.addEventListener("play", (event) => {
    for (const sound of document.querySelectorAll("audio")) if (sound !== event.target) sound.pause();
  }, true);

  const sizes = new ResizeObserver((boxes) => {
    for (const { target } of boxes) {
      const isWide = target.scrollWidth > target.clientWidth + 1;
      target.classList.toggle("wide", isWide);
      target.previousElementSibling.hidden = !isWide;
    }
  });
  for (const box of document.querySelectorAll(".hint + .scroll")) sizes.observe(box);

  const folded = [];
  addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details:not([open], .long)")) {
      part.open = true;
      folded.push(part);
    }
  });
  addEventListener("afterprint", () => {
    while (folded.length) folded.pop().open = false;
  });
})();
