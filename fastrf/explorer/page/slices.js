// Sliders for the axes beside the last two: which slice of a volume is shown.

import {element, write} from "./dom.js";
import {EVERY_SLICE} from "./state.js";
import {axisWords} from "./words.js";

// `onSlice(axis, index)`; with `follows` also null (the middle of what is seen) and EVERY_SLICE (all, projected).
export function makeSlices(title, onSlice, {follows = false} = {}) {
  const root = element("div", {class: "slices"});
  let rows = [];
  const build = (count, words) => {
    rows = Array.from({length: count}, (_, axis) => sliceRow(title, words[axis], axis, onSlice, follows));
    root.replaceChildren(...rows.map((row) => row.root));
  };
  return {
    root,
    show(shape, slice, shown, box = null) {
      const count = Math.max(0, shape.length - 2);
      if (rows.length !== count) build(count, axisWords(shape.length));
      rows.forEach((row, axis) => showRow(row, shape[axis], slice[axis], shown[axis], box?.[axis]));
    },
  };
}

function sliceRow(title, word, axis, onSlice, follows) {
  const slider = element("input", {type: "range", min: 0, step: 1, "aria-label": `${title}: ${word}`});
  const told = element("output", {class: "number"});
  const toggle = (text, label, value) =>
    element("button", {
      type: "button",
      class: "small",
      text,
      title: label,
      "aria-label": `${title}, ${word}: ${text}, ${label}`,
      on: {
        click: (event) =>
          onSlice(axis, event.currentTarget.getAttribute("aria-pressed") === "true" ? Number(slider.value) : value),
      },
    });
  const follow = follows ? toggle("Follow", "keep to the middle of what is seen", null) : null;
  const all = follows ? toggle("All", "all slices at once, projected", EVERY_SLICE) : null;
  const seen = element("span", {class: "slice-seen"});
  const track = element("span", {class: "slice-track"}, slider, seen);
  slider.addEventListener("input", () => onSlice(axis, Number(slider.value)));
  const root = element(
    "div",
    {class: "slice"},
    element("span", {class: "label", text: word}),
    track,
    told,
    follow,
    all,
  );
  return {root, slider, told, follow, all, seen};
}

function showRow({slider, told, follow, all, seen}, n, slice, shown, box) {
  slider.max = n - 1;
  if (shown !== undefined) slider.value = shown;
  const text = shown === undefined ? `all ${n}` : `${shown} of ${n}`;
  write(told, text);
  slider.setAttribute("aria-valuetext", text);
  follow?.setAttribute("aria-pressed", String(slice === null || slice === undefined));
  all?.setAttribute("aria-pressed", String(slice === EVERY_SLICE));
  seen.hidden = !box;
  if (!box) return;
  seen.style.left = `${(100 * box[0]) / n}%`;
  seen.style.width = `${(100 * (box[1] - box[0])) / n}%`;
}
