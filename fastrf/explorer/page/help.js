// The dialog with all keys, what the colours mean, and the words.

import {element} from "./dom.js";

const KEYS = [
  [
    "Feature map and input",
    [
      ["Arrow keys", "move by one; with Shift by ten"],
      ["Home, End", "to the ends of the row; with Ctrl to the corners"],
      ["Page Up, Page Down", "the slice before or after; on a map without slices ten rows"],
      [
        "Enter or click",
        "on the map: stay at this position. On the input: show which positions see this pixel; again to hide",
      ],
      ["Escape", "forget the pixel"],
      ["+ − 0", "zoom in, zoom out, show all; the wheel does so where the focus is, or with Ctrl"],
      ["Ctrl + arrow keys, or drag", "pan"],
      ["z", "zoom the input to what is seen, and back"],
      ["p", "pin this place to compare with"],
      ["x", "exchange this place and the first pin"],
      ["?", "this list"],
    ],
  ],
  [
    "Tabs and choices",
    [
      ["Tab", "to the next control"],
      ["Left, Right, Home, End", "choose within a group"],
    ],
  ],
];

const COLOURS = [
  ["here", "what the position looked at sees"],
  ["other", "what the pinned one sees"],
  ["both", "what both see"],
  ["seen-by", "the pixel chosen, and the positions that see it"],
  ["box", "the smallest box around what is seen; dashed for the pinned one"],
];

export function showHelp(dialog) {
  const close = element("button", {type: "button", text: "Close", on: {click: () => dialog.close()}});
  const groups = KEYS.flatMap(([title, keys]) => [
    element("h3", {text: title}),
    element(
      "dl",
      {class: "keys"},
      ...keys.flatMap(([key, told]) => [element("dt", {text: key}), element("dd", {text: told})]),
    ),
  ]);
  const colours = element(
    "ul",
    {class: "colours"},
    ...COLOURS.map(([kind, told]) =>
      element("li", {}, element("span", {class: `swatch ${kind}`, "aria-hidden": "true"}), told),
    ),
  );
  const words = element("p", {
    text:
      "Intervals are half-open and start at 0: [0, 3) is 0, 1, 2. The cross marks the centre of the " +
      "nominal field, the one on an input without borders, as an index of pixels. " +
      "Everything is computed in this page; nothing is sent.",
  });
  dialog.replaceChildren(
    element("div", {class: "dialog-head"}, element("h2", {id: "keys-title", text: "Keys and colours"}), close),
    ...groups,
    element("h3", {text: "Colours"}),
    colours,
    words,
  );
  dialog.showModal();
}
