// The cells of the matrix: a row of the screen at a time, each from what one position reads. No document here.

import {cellsOf, elementWindow, wholeWindow} from "./geometry.js";

// Lines of the screen beyond so many are not asked for: each costs one look.
const MOST_LINES = 1200;

// A function of a position that tells where its own step ends in the input; null where steps are not regular.
export function ownStepEnd(stride) {
  return Number.isFinite(stride) && stride > 0 ? (position) => (position + 1) * stride : null;
}

// {cells: {window, size, bytes}, sampled}: 1 where a position reads, 2 where that lies behind its own step. Where there
// are more positions than lines, each line is the first of `sampled` positions.
export function matrixCells(lookAt, [, column], view, ratio, stepEnd) {
  const whole = wholeWindow(view.window.map(([, high]) => Math.ceil(high)));
  const window = elementWindow(view.window, whole);
  const size = cellsOf(window, view, ratio);
  size[0] = Math.min(size[0], MOST_LINES);
  const [lines, width] = size;
  const [[top, bottom], [left, right]] = window;
  const bytes = new Uint8Array(lines * width);
  for (let line = 0; line < lines; line++) {
    const position = top + Math.floor((line * (bottom - top)) / lines);
    const {seen, axes} = lookAt(position);
    const read = seen.raster([axes[column]], [width], {}, [window[1]]);
    const end = stepEnd ? ((stepEnd(position) - left) / (right - left)) * width : Infinity;
    for (let cell = Math.max(0, Math.min(Math.ceil(end - 1e-9), width)); cell < width; cell++) read[cell] *= 2;
    bytes.set(read, line * width);
  }
  return {cells: {window, size, bytes}, sampled: Math.ceil((bottom - top) / lines)};
}
