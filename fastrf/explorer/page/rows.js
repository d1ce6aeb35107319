// Rows of the table of layers: which columns fit, which layers match, in which order, which are in view. No DOM.

import {tellAxes, tellBriefly, tellKind, tellNumber, tellRanges, tellShape, tellShare} from "./telling.js";

const multiplied = (values) => values.reduce((a, b) => a * b, 1);
const figureProduct = (values) => (values.length ? multiplied(values) : NaN);

// Columns as they stand, `width` in pixels; those of the highest `drop` go first where it is narrow.
export const LAYER_COLUMNS = [
  {key: "name", label: "Layer", width: 180, drop: 0, text: (n) => n.name, value: (n) => n.name},
  {
    key: "size",
    label: "Field size",
    width: 104,
    drop: 1,
    text: (n) => `${n.exact ? "" : "≈ "}${tellRanges(n.figures.sizeRange, "–")}`,
    value: (n) => figureProduct(n.figures.size),
  },
  {
    key: "stride",
    label: "Stride",
    width: 90,
    drop: 2,
    text: (n) => tellAxes(n.figures.stride),
    value: (n) => figureProduct(n.figures.stride),
  },
  {key: "kind", label: "Operator", width: 110, drop: 4, text: tellKind, value: tellKind},
  {
    key: "shape",
    label: "Shape",
    width: 146,
    drop: 3,
    text: (n) => tellShape(n.shape),
    value: (n) => multiplied(n.shape),
  },
  {
    key: "exact",
    label: "Exact",
    width: 66,
    drop: 5,
    text: (n) => (n.exact ? "yes" : "no"),
    value: (n) => Number(n.exact),
  },
  {
    key: "padding",
    label: "Padding",
    width: 82,
    drop: 9,
    text: (n) => tellAxes(n.figures.padding),
    value: (n) => n.figures.padding[0] ?? NaN,
  },
  {
    key: "clipped",
    label: "Clipped",
    width: 80,
    drop: 6,
    text: (n) => tellShare(n.figures.clipped),
    value: (n) => n.figures.clipped,
  },
  {
    key: "parameters",
    label: "Parameters",
    width: 100,
    drop: 7,
    text: (n) => tellBriefly(n.figures.parameters),
    value: (n) => n.figures.parameters,
    full: (n) => tellNumber(n.figures.parameters),
  },
  {
    key: "macs",
    label: "MACs",
    width: 78,
    drop: 8,
    text: (n) => tellBriefly(n.figures.macs),
    value: (n) => n.figures.macs,
    full: (n) => tellNumber(n.figures.macs),
  },
];

// The columns that fit a width; the layer's name and its field's size always stand.
export function columnsWithin(width, columns = LAYER_COLUMNS) {
  const kept = new Set(columns);
  let needed = columns.reduce((sum, column) => sum + column.width, 0);
  for (const column of [...columns].sort((a, b) => b.drop - a.drop)) {
    if (needed <= width || column.drop < 2) break;
    kept.delete(column);
    needed -= column.width;
  }
  return columns.filter((column) => kept.has(column));
}

// What each column takes of a width, in pixels. Names, which are long, get most of what is left; where columns go beyond
// the width, names leave room for the sizes beside them.
export function columnParts(columns, width) {
  const [name, size] = columns;
  const left = Math.max(0, width - columns.reduce((sum, column) => sum + column.width, 0));
  if (!left) return columns.map((column) => (column === name ? nameWidth(name, size, width) : column.width));
  const share = (0.4 * left) / (columns.length - 1 || 1);
  return columns.map((column) => Math.round(column.width + (column === name ? 0.6 * left : share)));
}

function nameWidth(name, size, width) {
  return Math.round(Math.min(Math.max(name.width, 0.45 * width), Math.max(110, width - (size?.width ?? 0))));
}

// Numbers of the layers in whose name, operator, class or remarks every word of the query occurs.
export function matchingRows(nodes, query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = (node) => {
    const remarks = `${node.exact ? "exact" : "not-exact inexact"} ${node.figures.irregular}`;
    const text = `${node.name} ${node.op} ${node.module} ${remarks}`.toLowerCase();
    return words.every((word) => text.includes(word));
  };
  return nodes.filter(matches).map((node) => node.index);
}

// Those numbers in order of a column: "ascending", "descending", or the network's; what is unknown stands last.
export function sortedRows(nodes, numbers, key, direction) {
  const column = LAYER_COLUMNS.find((one) => one.key === key);
  if (!column || direction === "none") return [...numbers].sort((a, b) => a - b);
  const values = new Map(numbers.map((number) => [number, column.value(nodes[number])]));
  const sign = direction === "ascending" ? 1 : -1;
  return [...numbers].sort((a, b) => compareValues(values.get(a), values.get(b), sign) || a - b);
}

// What a header's button asks for next.
export function nextDirection(direction) {
  return {none: "ascending", ascending: "descending", descending: "none"}[direction];
}

// First and last row, half-open, that a scrolled window shows, and a few on either side.
export function rowWindow(top, height, rowHeight, count, margin = 4) {
  const first = Math.max(0, Math.floor(top / rowHeight) - margin);
  return [Math.min(first, count), Math.min(count, Math.ceil((top + height) / rowHeight) + margin)];
}

// Where a window must be scrolled so that a row is whole in it, below a header of some height.
export function scrolledTo(row, top, height, rowHeight) {
  if (row * rowHeight < top) return row * rowHeight;
  return Math.max(top, (row + 1) * rowHeight - height);
}

// Where a key moves a cursor among rows; -1 where the key means nothing.
export function movedRow(key, at, count, page) {
  const target = {ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: count - 1, PageUp: at - page, PageDown: at + page}[
    key
  ];
  return target === undefined || !count ? -1 : Math.min(count - 1, Math.max(0, target));
}

const naturalOrder = new Intl.Collator("en", {numeric: true});

function compareValues(a, b, sign) {
  const unknownA = a === null || Number.isNaN(a);
  const unknownB = b === null || Number.isNaN(b);
  if (unknownA || unknownB) return Number(unknownA) - Number(unknownB);
  if (typeof a === "string") return sign * naturalOrder.compare(a, b);
  return a === b ? 0 : sign * (a < b ? -1 : 1);
}
