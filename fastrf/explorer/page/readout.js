// The table below the stage: what the position looked at sees, beside the pinned one, and what both have in common.

import {element, write} from "./dom.js";
import {elementsOf} from "./geometry.js";
import {overlapOf, tellLook} from "./looking.js";
import {
  boxWord,
  coordinateWord,
  countWord,
  numberWord,
  placeWord,
  seenSentence,
  shareWord,
  sizeWord,
  unitWord,
} from "./words.js";

const ROWS = [
  ["Place", (told) => told.what],
  ["Sees", (told) => `${numberWord(told.count)} of ${numberWord(told.total)} ${told.unit}`],
  ["Share", (told) => shareWord(told.count, told.total)],
  ["Box", (told) => boxWord(told.box)],
  ["Size", (told) => sizeWord(told.box)],
  ["Density", (told) => (told.box ? `${shareWord(told.density, 1)} of its box` : "nothing seen")],
  ["Channels", (told) => (told.channels ? boxWord([told.channels]) : "any")],
  ["Centre", (told) => (told.centre ? told.centre.map(coordinateWord).join(", ") : "unknown")],
  ["Border", (told) => (told.clipped ? "cuts it" : "does not cut it")],
];

export function makeReadout() {
  const heads = ["Here", "Pinned"].map((text, k) =>
    element(
      "th",
      {scope: "col"},
      element("span", {class: `swatch ${["here", "other"][k]}`, "aria-hidden": "true"}),
      text,
    ),
  );
  const rows = ROWS.map(([name]) => {
    const cells = [element("td"), element("td")];
    return {cells, root: element("tr", {}, element("th", {scope: "row", text: name}), ...cells)};
  });
  const table = element(
    "table",
    {class: "readout-table"},
    element("caption", {class: "unseen", text: "What is seen"}),
    element("thead", {}, element("tr", {}, element("td"), ...heads)),
    element("tbody", {}, ...rows.map((row) => row.root)),
  );
  const marked = (kind, colour) =>
    element(
      "p",
      {class: `told ${kind}`},
      element("span", {class: `swatch ${colour}`, "aria-hidden": "true"}),
      element("span"),
    );
  const [common, seers] = [marked("common", "both"), marked("seers", "seen-by")];
  const pointed = element("p", {class: "told pointed"});
  const readout = {
    root: element("div", {class: "readout"}, table, element("div", {class: "told-list"}, seers, common, pointed)),
    ...{heads, rows, common, seers, pointed, cursor: null, last: ""},
  };
  readout.show = (now) => showReadout(readout, now);
  readout.sentence = () => readout.last;
  return readout;
}

function showReadout(readout, now) {
  const tolds = [now.mine && tellLook(now.mine), now.other && tellLook(now.other)];
  readout.heads[1].hidden = !now.pin;
  readout.rows.forEach(({cells, root}, k) => {
    const [name, tell] = ROWS[k];
    write(cells[0], tolds[0] ? tell(tolds[0]) : "no positions");
    cells[1].hidden = !now.pin;
    write(cells[1], tolds[1] ? tell(tolds[1]) : now.pin ? "another input shape" : "");
    root.hidden = name === "Channels" && !tolds.some((told) => told?.channels);
  });
  const common = commonWord(now);
  const seers = seersWord(now);
  const pointed = pointedWord(now, readout.cursor);
  for (const [part, text] of [
    [readout.common, common],
    [readout.seers, seers],
  ]) {
    part.hidden = !text;
    write(part.lastChild, text);
  }
  readout.pointed.hidden = !pointed;
  write(readout.pointed, pointed);
  const {name} = now.node;
  const own = tolds[0] ? seenSentence({...tolds[0], what: `${tolds[0].what} of ${name}`}) : `${name} has no positions.`;
  readout.last = [own, seers, common].filter(Boolean).join(" ");
}

function commonWord({mine, other}) {
  if (!mine || !other) return "";
  if (mine.seen.shape.length !== other.seen.shape.length)
    return "Both are drawn; a neuron and a position are not counted against each other.";
  const {both, either} = overlapOf(mine, other);
  const unit = mine.axes.length === mine.seen.shape.length ? unitWord(mine.axes.length, both) : both === 1 ? "input value" : "input values";
  const share = shareWord(both, either);
  return `Both see ${numberWord(both)} ${unit}: ${share} of the ${numberWord(either)} that either sees.`;
}

function seersWord({state, node, seers}) {
  if (!seers) return "";
  const {positionShape} = node.field;
  const count = seers.seen.count();
  const box = seers.seen.box();
  const place = `Pixel ${placeWord(state.pixel)}`;
  if (!positionShape.length) return `${place} is ${box ? "seen" : "not seen"} by this layer.`;
  const where = box ? `, box ${boxWord(seers.axes.map((axis) => box[axis]))}` : "";
  const total = elementsOf(positionShape);
  return box
    ? `${place} is seen by ${numberWord(count)} of ${countWord(total, "position")} (${shareWord(count, total)})${where}.`
    : `${place} is seen by no position.`;
}

function pointedWord({mine}, cursor) {
  if (!cursor || !mine) return "";
  const place = `Pointing at ${unitWord(cursor.length, 1)} ${placeWord(cursor)}`;
  if (mine.seen.shape.length !== cursor.length) return `${place}.`;
  return `${place}: ${mine.seen.has(cursor) ? "seen" : "not seen"} from here.`;
}
