// Where things stand: indices of maps, windows of what is shown of them, and the screen's pixels. No document here.
//
// A window is [[low, high], [low, high]] in elements (rows, columns); a view is a window and the rectangle
// {left, top, width, height} of the screen that it fills.

const SMALLEST_WINDOW = 2;
const STRIP_HEIGHT = 84;

export function isIndexOf(index, shape) {
  if (!Array.isArray(index) || index.length !== shape.length) return false;
  return index.every((i, axis) => Number.isInteger(i) && i >= 0 && i < shape[axis]);
}

export function elementsOf(shape) {
  return shape.reduce((product, n) => product * n, 1);
}

// The index in the middle; null where there is none.
export function centreOf(shape) {
  return elementsOf(shape) ? shape.map((n) => Math.floor(n / 2)) : null;
}

// The index that lies where `index` does, in a map of another size.
export function scaledIndex(index, from, to) {
  if (!index || from.length !== to.length || !elementsOf(to)) return centreOf(to);
  return index.map((i, axis) => Math.min(Math.floor(((i + 0.5) / from[axis]) * to[axis]), to[axis] - 1));
}

// Rows and columns of a map of any number of axes: its last two.
export function planeOf(shape) {
  return [shape.at(-2) ?? 1, shape.at(-1) ?? 1];
}

export function wholeWindow(plane) {
  return plane.map((n) => [0, Math.max(n, 1)]);
}

// The size of a plot within the room there is: true to scale where that leaves something to see. Axes that are not of
// one space are `free` of that; `strip` is the height of a line.
export function plotSize(room, plane, {free = false, strip = STRIP_HEIGHT} = {}) {
  const [rows, columns] = plane;
  if (rows <= 1 && columns <= 1) return {width: strip, height: strip};
  if (rows <= 1) return {width: room.width, height: Math.min(strip, room.height)};
  if (columns <= 1) return {width: Math.min(strip, room.width), height: room.height};
  const ratio = Math.max(free ? 0.6 : 0.2, Math.min(rows / columns, free ? 1.2 : 5));
  const width = Math.min(room.width, room.height / ratio);
  return {width: Math.max(1, Math.round(width)), height: Math.max(1, Math.round(width * ratio))};
}

export function toX(view, column) {
  const [low, high] = view.window[1];
  return view.left + ((column - low) / (high - low)) * view.width;
}

export function toY(view, row) {
  const [low, high] = view.window[0];
  return view.top + ((row - low) / (high - low)) * view.height;
}

// Rows and columns as a rectangle of the screen, about its middle at least so many pixels wide and high.
export function screenBox(view, rows, columns, least = 0) {
  const [x, y] = [toX(view, columns[0]), toY(view, rows[0])];
  const [wide, high] = [toX(view, columns[1]) - x, toY(view, rows[1]) - y];
  const [width, height] = [Math.max(wide, least), Math.max(high, least)];
  return {x: x - (width - wide) / 2, y: y - (height - high) / 2, width, height};
}

// [row, column] in elements, with fractions, under a point of the screen.
export function under(view, x, y) {
  const [[top, bottom], [left, right]] = view.window;
  return [
    top + ((y - view.top) / view.height) * (bottom - top),
    left + ((x - view.left) / view.width) * (right - left),
  ];
}

// The cell under a point of the screen; null beside the map.
export function cellUnder(view, x, y, plane) {
  if (x < view.left || y < view.top || x >= view.left + view.width || y >= view.top + view.height) return null;
  const cell = under(view, x, y).map(Math.floor);
  return isIndexOf(cell, plane) ? cell : null;
}

// The window by `factor` smaller (or larger) about a point that stays where it is.
export function zoomed(window, factor, about, plane) {
  return window.map(([low, high], axis) => {
    const n = Math.max(plane[axis], 1);
    const length = Math.max(Math.min(SMALLEST_WINDOW, n), Math.min((high - low) / factor, n));
    const share = (about[axis] - low) / (high - low);
    return slidWithin([about[axis] - share * length, about[axis] + (1 - share) * length], n);
  });
}

export function panned(window, move, plane) {
  return window.map(([low, high], axis) => slidWithin([low + move[axis], high + move[axis]], Math.max(plane[axis], 1)));
}

// The same length, moved back into [0, n].
function slidWithin([low, high], n) {
  const length = Math.min(high - low, n);
  const start = Math.max(0, Math.min(low, n - length));
  return [start, start + length];
}

// The window moved as little as shows a cell.
export function windowWith(window, cell, plane) {
  const move = window.map(([low, high], axis) => {
    if (cell[axis] < low) return cell[axis] - low;
    return cell[axis] + 1 > high ? cell[axis] + 1 - high : 0;
  });
  return move.every((by) => by === 0) ? window : panned(window, move, plane);
}

// A window that shows a box with room around it, in the proportions of the plane.
export function windowAround(box, plane) {
  const share = Math.max(...box.map(([low, high], axis) => ((high - low) * 1.5) / Math.max(plane[axis], 1)));
  return box.map(([low, high], axis) => {
    const n = Math.max(plane[axis], 1);
    const length = Math.max(Math.min(SMALLEST_WINDOW, n), Math.min(share * n, n));
    const middle = (low + high) / 2;
    return slidWithin([middle - length / 2, middle + length / 2], n);
  });
}

export function isWhole(window, plane) {
  return window.every(([low, high], axis) => low <= 0 && high >= plane[axis]);
}

// The whole elements of a window that lie in `box`, too; null where none do.
export function elementWindow(window, box) {
  const found = window.map(([low, high], axis) => [
    Math.max(Math.floor(low), box[axis][0]),
    Math.min(Math.ceil(high), box[axis][1]),
  ]);
  return found.every(([low, high]) => low < high) ? found : null;
}

// So many cells draw an element window at the resolution of the screen: never more than it has elements.
export function cellsOf(elements, view, ratio) {
  const room = [view.height, view.width];
  return elements.map(([low, high], axis) => {
    const [first, last] = view.window[axis];
    const dots = Math.ceil(((high - low) / (last - first)) * room[axis] * ratio);
    return Math.max(1, Math.min(high - low, dots));
  });
}

// Round numbers for an axis, about one in every `spacing` pixels: 1, 2 or 5 times a power of ten.
export function ticksOf([low, high], length, spacing = 60) {
  const rough = ((high - low) * spacing) / Math.max(length, 1);
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1)));
  const step = [1, 2, 5, 10].map((k) => k * power).find((candidate) => candidate >= rough) ?? 10 * power;
  const found = [];
  for (let tick = Math.ceil(low / step) * step; tick < high; tick += step) found.push(Math.round(tick));
  return found;
}

// An index moved in the plane of its last axes; beyond the ends of the map it stays.
export function movedIndex(index, step, shape) {
  const moved = [...index];
  const last = shape.length - 1;
  if (last === 0) moved[0] += step[1] || step[0];
  else {
    moved[last] += step[1];
    moved[last - 1] += step[0];
  }
  return moved.map((i, axis) => Math.max(0, Math.min(i, shape[axis] - 1)));
}

// The whole index of a cell of the plane: other axes stay where they are.
export function indexOfCell(cell, index, shape) {
  if (shape.length < 2) return shape.length ? [cell[1]] : [];
  return [...index.slice(0, -2), ...cell];
}

// The number of a tick, short where it is round: 20k, 1.5M.
export function tickWord(tick) {
  if (tick >= 1e6 && tick % 1e5 === 0) return `${tick / 1e6}M`;
  if (tick >= 1e4 && tick % 1000 === 0) return `${tick / 1000}k`;
  return String(tick);
}
