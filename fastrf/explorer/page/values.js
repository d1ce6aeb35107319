// Maps of values, as the engine gives them ({shape, values, step}, maybe a sample of a large map): what of them is on
// the screen, and what is said of them. No document here.

import {heatByte} from "./colours.js";
import {cellsOf, elementWindow} from "./geometry.js";

// Low, high, mean and the middle one of all values that are numbers; null where there are none.
export function statisticsOf(values) {
  const known = Float64Array.from(values)
    .filter((value) => !Number.isNaN(value))
    .sort();
  if (!known.length) return null;
  const middle = (known[(known.length - 1) >> 1] + known[known.length >> 1]) / 2;
  const mean = known.reduce((sum, value) => sum + value, 0) / known.length;
  return {low: known[0], high: known[known.length - 1], mean, middle, unknown: values.length - known.length};
}

// The value of an index of the whole map: that of the sample of its cell.
export function valueAt({shape, values, step}, index) {
  const place = index.reduce(
    (at, i, axis) => at * shape[axis] + Math.min(Math.floor(i / step[axis]), shape[axis] - 1),
    0,
  );
  return values[place];
}

// Cells of what is on the screen of a map, on the scale from low to high: {window, size, bytes}. `shape` is that of the
// whole map, `slices` the index of every axis but the last two. Where a cell has several elements it shows the first.
export function heatCells(map, shape, slices, view, ratio, {low, high}) {
  const plane = [shape.at(-2) ?? 1, shape.at(-1) ?? 1];
  const window = elementWindow(
    view.window,
    plane.map((n) => [0, n]),
  );
  if (!window) return null;
  const size = cellsOf(window, view, ratio);
  const [rows, columns] = [0, 1].map((k) =>
    Array.from(
      {length: size[k]},
      (_, cell) => window[k][0] + Math.floor((cell * (window[k][1] - window[k][0])) / size[k]),
    ),
  );
  const index = shape.map((_, axis) => slices[axis] ?? 0);
  const bytes = new Uint8Array(size[0] * size[1]);
  let cell = 0;
  for (const row of rows) {
    if (shape.length > 1) index[shape.length - 2] = row;
    for (const column of columns) {
      if (shape.length) index[shape.length - 1] = column;
      bytes[cell++] = heatByte(valueAt(map, index), low, high);
    }
  }
  return {window, size, bytes};
}

// The values of a line as points of a strip of height 1, high values above: the curve over its heat map.
export function curvePoints(map, n, view, {low, high}) {
  const window = elementWindow(
    [[0, 1], view.window[1]],
    [
      [0, 1],
      [0, n],
    ],
  );
  if (!window || high <= low) return [];
  const [first, last] = window[1];
  const count = Math.max(2, Math.min(last - first, Math.ceil(view.width)));
  return Array.from({length: count}, (_, k) => {
    const column = Math.min(first + Math.floor((k * (last - first)) / count), n - 1);
    const value = valueAt(map, [column]);
    return Number.isNaN(value) ? null : [0.93 - 0.86 * ((value - low) / (high - low)), column + 0.5];
  }).filter(Boolean);
}
