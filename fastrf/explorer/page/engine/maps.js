// Maps over all positions, or all pixels: areas, densities, what borders cut, coverage, blind spots. Exact; maps of too
// many places are sampled: one of each cell of `step` places along each axis, whose indices are `chosen`.

import {boxParts, countParts} from "./classes.js";
import {Turns, fillGrid, gridOver} from "./separable.js";

/** Maps of more places are sampled. */
const MOST_PLACES = 2 ** 20;

/** How many pixels every position sees: {shape, values, step}; NaN where that cannot be counted exactly. */
export function areas(field) {
  return once(field, "areas", () => mapOf(field.positions, countParts(field.positions)));
}

/** Area divided by that of the box around it; 0 where nothing is seen. */
export function densities(field) {
  return once(field, "densities", async () => {
    const [own, boxes] = [await areas(field), await mapOf(field.positions, boxParts(field.positions))];
    return {...own, values: own.values.map((area, k) => area / Math.max(boxes.values[k], 1))};
  });
}

/** 1 where a border cuts a position's nominal field, or may; else 0. */
export function clippedMap(field) {
  return once(field, "clipped", async () => {
    const grid = gridOver(field.positionShape, MOST_PLACES);
    const turns = new Turns();
    for (const box of field.nominal.cuts(field.pixelShape)) await fillGrid(grid, box, turns);
    return grid;
  });
}

/** How many positions see every pixel: {shape, values, step}. */
export function coverage(field) {
  const turned = field.positions.transposed;
  return once(field, "coverage", () => mapOf(turned, countParts(turned)));
}

/** The pixels that no position sees. */
export function blind(field) {
  return field.positions.everything().complement();
}

const worked = new WeakMap();

/** What was asked of a field before is not worked out again. */
function once(field, name, make) {
  if (!worked.has(field)) worked.set(field, new Map());
  const own = worked.get(field);
  if (!own.has(name)) own.set(name, make());
  return own.get(name);
}

/** A map over what a dependency is of, made of parts. */
async function mapOf({from}, {parts, value}) {
  const grid = gridOver(from.shape, MOST_PLACES);
  await fillGrid(grid, {offsets: from.shape.map(() => 0), axes: from, parts, value});
  return grid;
}
