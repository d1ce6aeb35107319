// The scenes of the stage: what stands on the feature map and on the input for a state. No document here.

import {CLEAR} from "./colours.js";
import {screenBox} from "./geometry.js";
import {pixelBox, cellsShown, planeBox} from "./looking.js";
import {linesItem} from "./scene.js";

const MASK_ALPHA = 0.62;
const MASK_ALPHA_ON_IMAGE = 0.5;
const SMALL_FIELD = 20;

const faded = (colour, alpha) => [...colour.slice(0, 3), alpha];

// The cell of an index in the plane of its last two axes, as rows and columns.
export function cellOfIndex(index) {
  return [index.at(-2) ?? 0, index.at(-1) ?? 0].map((i) => [i, i + 1]);
}

export function groundScene({plane, view, palette, image}) {
  const [rows, columns] = plane.map((n) => [0, n]);
  const ground = {kind: "box", rows, columns, fill: palette.empty, colour: null};
  const picture = image ? [{kind: "image", uri: image.uri, rows, columns}] : [];
  return [ground, ...picture, linesItem(view, plane, faded(palette.line, 0.9))];
}

// Whether an index lies in the slice that is shown, along all axes but the last two.
function isInSlice(index, slices) {
  return index.slice(0, -2).every((i, axis) => slices[axis] === undefined || slices[axis] === i);
}

// The feature map: who sees the pixel, the pins, the position chosen, the one pointed at.
export function mapScene({view, ratio, palette, shape, slices, seers, pins, at, hover}) {
  const scene = [];
  const cells = seers && cellsShown([seers], shape, slices, view, ratio);
  if (cells) scene.push({kind: "cells", ...cells, colours: [CLEAR, faded(palette.seers, 0.85)]});
  const marked = (index, style) => {
    if (!isInSlice(index, slices)) return;
    const [rows, columns] = cellOfIndex(index);
    scene.push({kind: "box", rows, columns, least: 7, ...style});
  };
  for (const {at: pinned, fill} of pins) marked(pinned, {colour: palette.text, fill, dash: [3, 2], width: 1.5});
  if (at) marked(at, {colour: palette.text, fill: palette.mask, width: 2});
  if (hover) marked(hover, {colour: palette.text, fill: faded(palette.mask, 0.75), width: 1.5});
  return scene;
}

// The input: masks of one or two looks and what they share, their boxes and centres, the pixel chosen and the cursor.
export function inputScene({view, ratio, palette, shape, slices, looks, centres, pixel, cursor, image}) {
  const scene = [];
  const cells = looks.length ? cellsShown(looks, shape, slices, view, ratio) : null;
  const colours = [
    CLEAR,
    ...[palette.mask, palette.other, palette.both].map((colour) =>
      faded(colour, image ? MASK_ALPHA_ON_IMAGE : MASK_ALPHA),
    ),
  ];
  if (cells) scene.push({kind: "cells", ...cells, colours});
  looks.forEach((look, k) => {
    const box = pixelBox(look);
    if (!box) return;
    const [rows, columns] = planeBox(box);
    const dash = k ? [6, 4] : [];
    scene.push({kind: "box", rows, columns, least: 9, colour: faded(palette.halo, 0.8), width: 3.5, dash});
    scene.push({kind: "box", rows, columns, least: 9, colour: palette.box, width: 1.75, dash});
  });
  centres.forEach((centre, k) => {
    if (!centre || (looks[k] && isSmall(looks[k], view))) return;
    const at = [(centre.at(-2) ?? 0) + 0.5, centre.at(-1) + 0.5];
    scene.push({kind: "cross", at, colour: palette.centre, halo: palette.halo});
  });
  for (const [index, colour] of [
    [pixel, palette.seers],
    [cursor, palette.accent],
  ]) {
    if (!index || !isInSlice(index, slices)) continue;
    const [rows, columns] = cellOfIndex(index);
    scene.push({kind: "box", rows, columns, least: 9, colour: faded(palette.halo, 0.9), width: 4});
    scene.push({kind: "box", rows, columns, least: 9, colour, width: 2});
  }
  return scene;
}

// Whether a cross would hide what is seen.
function isSmall(look, view) {
  const box = pixelBox(look);
  if (!box) return false;
  const {width, height} = screenBox(view, ...planeBox(box));
  const isLine = view.window[0][1] - view.window[0][0] <= 1;
  return width < SMALL_FIELD && (isLine || height < SMALL_FIELD);
}
