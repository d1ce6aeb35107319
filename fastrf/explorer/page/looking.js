// What is looked at, asked of the engine: what a position or a neuron sees, who sees a pixel, what two have in common.
// Rasters are made of the part that is on the screen, at its resolution. No document here.

import {Seen} from "./engine/seen.js";
import {cellsOf, elementsOf, elementWindow} from "./geometry.js";
import {EVERY_SLICE} from "./state.js";
import {axisWords, placeWord, unitWord} from "./words.js";

const MOST_REMEMBERED = 32;
const remembered = new Map();

// The answer to one question, kept for a while: hovering and pins ask the same again and again.
function rememberedAs(key, field, make) {
  let answers = remembered.get(field);
  if (!answers) {
    if (remembered.size >= MOST_REMEMBERED) remembered.delete(remembered.keys().next().value);
    remembered.set(field, (answers = new Map()));
  }
  if (!answers.has(key)) {
    if (answers.size >= MOST_REMEMBERED) answers.delete(answers.keys().next().value);
    answers.set(key, make());
  }
  return answers.get(key);
}

// A look: {seen, axes: those of `seen` that are pixel axes, field, at, neuron, inputChannel}. Without a `neuron` (the
// channel of one) what any channel of the position sees; with one its exact mask, of an `inputChannel` or of all.
export function lookFrom(field, at, neuron = null, inputChannel = null) {
  return rememberedAs(`seen ${at} ${neuron} ${inputChannel}`, field, () => freshLook(field, at, neuron, inputChannel));
}

// The same without keeping it, for those who ask once for many.
export function freshLook(field, at, neuron, inputChannel) {
  const asked = {field, at, neuron, inputChannel};
  if (neuron === null)
    return {...asked, inputChannel: null, seen: field.seenFrom(at), axes: field.pixelShape.map((_, k) => k)};
  const axes = axesBeside(field.inputShape, field.inputChannelAxis);
  return {...asked, seen: neuronSeen(field, at, neuron, inputChannel), axes};
}

function neuronSeen(field, at, neuron, inputChannel) {
  const seen = field.neuronSeenFrom(withChannel(at, field.channelAxis, neuron));
  return inputChannel === null ? seen : seen.at({[field.inputChannelAxis]: inputChannel});
}

// Who sees a pixel: {seen, axes: those that are position axes}. With a `neuron`, of that channel alone.
export function seersOf(field, pixel, neuron = null, inputChannel = null) {
  return rememberedAs(`seers ${pixel} ${neuron} ${inputChannel}`, field, () => {
    if (neuron === null) return {seen: field.seers(pixel), axes: field.positionShape.map((_, k) => k)};
    const every = field.inputChannelAxis === null ? 1 : field.inputShape[field.inputChannelAxis];
    const inputs = inputChannel === null ? [...Array(every).keys()] : [inputChannel];
    const kinds = new Map();
    for (const channel of inputs) {
      const seen = field
        .neuronSeers(withChannel(pixel, field.inputChannelAxis, channel))
        .at({[field.channelAxis]: neuron});
      for (const term of seen.terms) kinds.set(JSON.stringify(term), term);
    }
    return {seen: new Seen(field.shape, [...kinds.values()]), axes: axesBeside(field.shape, field.channelAxis)};
  });
}

export function withChannel(index, axis, channel) {
  return axis === null || channel === null ? [...index] : [...index.slice(0, axis), channel, ...index.slice(axis)];
}

function axesBeside(shape, axis) {
  return shape.map((_, k) => k).filter((k) => k !== axis);
}

// The box over the pixel axes; null where nothing is seen.
export function pixelBox({seen, axes}) {
  const box = seen.box();
  return box && axes.map((axis) => box[axis]);
}

// The centre of the nominal field as an index of pixels, one number per pixel axis; null where there is none.
export function centreFrom(field, at) {
  const centre = field.center(at);
  return centre.length && centre.every(Number.isFinite) ? centre : null;
}

// Which index of each axis beside the last two is shown: {axis of `shape`: index}; one that is projected is left out.
export function slicesShown(shape, slice, box) {
  const found = {};
  shape.slice(0, -2).forEach((n, axis) => {
    if (slice[axis] === EVERY_SLICE) return;
    const [low, high] = box?.[axis] ?? [0, n];
    found[axis] = slice[axis] ?? Math.floor((low + high - 1) / 2);
  });
  return found;
}

// The cells of what is seen that are on the screen: {window, size, bytes}; null where there are none.
// `shape` is that of the map (pixels or positions), `looks` up to two of it: the first counts 1, the second 2.
export function cellsShown(looks, shape, slices, view, ratio) {
  const boxes = looks
    .map(pixelBox)
    .filter(Boolean)
    .map((box) => planeBox(box));
  if (!boxes.length) return null;
  const hull = [0, 1].map((k) => [Math.min(...boxes.map((b) => b[k][0])), Math.max(...boxes.map((b) => b[k][1]))]);
  const window = elementWindow(view.window, hull);
  if (!window) return null;
  const size = cellsOf(window, view, ratio);
  let bytes = null;
  looks.forEach((look, k) => {
    const own = rasterOf(look, shape, slices, size, window);
    if (!bytes) bytes = own;
    else for (let i = 0; i < own.length; i++) bytes[i] |= own[i] << k;
  });
  return {window, size, bytes};
}

// Rows and columns of a box of any number of axes.
export function planeBox(box) {
  return [box.at(-2) ?? [0, 1], box.at(-1) ?? [0, 1]];
}

function rasterOf({seen, axes}, shape, slices, size, window) {
  const fixed = Object.fromEntries(Object.entries(slices).map(([axis, index]) => [axes[axis], index]));
  if (!shape.length) return new Uint8Array(elementsOf(size)).fill(seen.isEmpty ? 0 : 1);
  const shown = axes.slice(-2);
  return seen.raster(shown, size.slice(-shown.length), fixed, window.slice(-shown.length));
}

// How many elements two looks see, and both: {one, other, both, either}. NaN where that is not known.
export function overlapOf(one, other) {
  const counts = [one, other].map(({seen}) => seen.count());
  let either = NaN;
  try {
    either = new Seen(one.seen.shape, [...one.seen.terms, ...other.seen.terms]).count();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return {one: counts[0], other: counts[1], both: counts[0] + counts[1] - either, either};
}

// Everything that is said of a look: words and numbers.
export function tellLook(look) {
  const {field, at, neuron, inputChannel, seen} = look;
  const box = pixelBox(look);
  const rank = field.pixelShape.length;
  const perChannel = seen.shape.length !== rank && inputChannel === null;
  const total = elementsOf(perChannel ? field.inputShape : field.pixelShape);
  const count = seen.count();
  const spread = elementsOf((perChannel ? seen.box() : box)?.map(([low, high]) => high - low) ?? [0]);
  const place = at.length ? `position ${placeWord(at)}` : "any output";
  return {
    what:
      neuron === null
        ? `${place[0].toUpperCase()}${place.slice(1)}`
        : `Neuron ${neuron}${at.length ? ` at ${placeWord(at)}` : ""}`,
    count,
    total,
    box,
    density: box ? count / spread : NaN,
    centre: centreFrom(field, at),
    clipped: field.isClipped(at),
    unit: perChannel ? "input values (all channels)" : unitWord(rank, total),
    axes: axisWords(rank),
    channels: perChannel && box ? seen.box()[field.inputChannelAxis] : null,
  };
}
