// What is said aloud: one live region for the whole page, and a short note that everyone sees.

import {write} from "./dom.js";

const QUIET_FOR = 250;
const SHOWN_FOR = 3500;
let waiting = 0;
let hiding = 0;

// Says a sentence once nothing newer came for a moment; `again` also where it is the one said last.
export function announce(sentence, again = false) {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    const live = document.getElementById("live");
    if (again && live.textContent === sentence) live.textContent = "";
    write(live, sentence);
  }, QUIET_FOR);
}

// A short note at the edge of the page, said aloud, too.
export function notify(sentence) {
  const note = document.getElementById("note");
  write(note, sentence);
  note.hidden = false;
  announce(sentence, true);
  clearTimeout(hiding);
  hiding = setTimeout(() => {
    note.hidden = true;
  }, SHOWN_FOR);
}

// A problem stays on the page until it is put away.
export function showProblem(sentence) {
  const banner = document.getElementById("problem");
  const told = banner.querySelector("span");
  if (told && told.textContent.split("\n").includes(sentence)) return;
  const text = [told?.textContent, sentence].filter(Boolean).join("\n");
  const close = document.createElement("button");
  close.type = "button";
  close.textContent = "Dismiss";
  close.addEventListener("click", () => {
    banner.hidden = true;
    banner.replaceChildren();
  });
  const span = document.createElement("span");
  span.textContent = text;
  banner.replaceChildren(span, close);
  banner.hidden = false;
}
