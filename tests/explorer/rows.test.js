import assert from "node:assert/strict";
import {test} from "node:test";

import {
  LAYER_COLUMNS,
  columnParts,
  columnsWithin,
  matchingRows,
  movedRow,
  nextDirection,
  rowWindow,
  scrolledTo,
  sortedRows,
} from "../../fastrf/explorer/page/rows.js";
import {layersOf} from "./layers.js";

const NODES = layersOf(
  ["stem.conv10", [], {size: [7, 7], module: "Conv2d", parameters: null}],
  ["stem.conv9", [], {size: [Infinity, 3], op: "attention", exact: false, parameters: 5}],
  ["head.relu", [], {size: [NaN, NaN], op: "relu", irregular: "resized by 3/2", parameters: 40}],
  ["head.conv", [], {size: [7, 7], parameters: 5}],
);

test("every word of a query is found in name, operator, class or remarks", () => {
  assert.deepEqual(matchingRows(NODES, ""), [0, 1, 2, 3]);
  assert.deepEqual(matchingRows(NODES, "CONV stem"), [0, 1]);
  assert.deepEqual(matchingRows(NODES, "conv2d"), [0]);
  assert.deepEqual(matchingRows(NODES, "not-exact"), [1]);
  assert.deepEqual(matchingRows(NODES, "3/2"), [2]);
  assert.deepEqual(matchingRows(NODES, "nothing like it"), []);
});

test("columns sort both ways, what is unknown stands last, what is equal stays in order", () => {
  const sorted = (key, direction) => sortedRows(NODES, [3, 2, 1, 0], key, direction);
  assert.deepEqual(sorted("size", "ascending"), [0, 3, 1, 2]);
  assert.deepEqual(sorted("size", "descending"), [1, 0, 3, 2]);
  assert.deepEqual(sorted("parameters", "descending"), [2, 1, 3, 0]);
  assert.deepEqual(sorted("name", "ascending"), [3, 2, 1, 0]);
  assert.deepEqual(sorted("exact", "ascending"), [1, 0, 2, 3]);
  assert.deepEqual(sorted("size", "none"), [0, 1, 2, 3]);
  assert.deepEqual(sorted("no such column", "ascending"), [0, 1, 2, 3]);
  assert.equal(["none", "ascending", "descending"].map(nextDirection).join(), "ascending,descending,none");
});

test("every column has a text without NaN for every layer", () => {
  for (const node of NODES)
    for (const column of LAYER_COLUMNS) assert.doesNotMatch(column.text(node), /NaN|Infinity|undefined|null|^$/);
});

test("a narrow table keeps names and sizes, a wide one everything", () => {
  const keys = (width) => columnsWithin(width).map((column) => column.key);
  assert.deepEqual(keys(100), ["name", "size"]);
  assert.deepEqual(keys(380), ["name", "size", "stride"]);
  assert.equal(keys(5000).length, LAYER_COLUMNS.length);
  for (let width = 100; width < 1200; width += 50) assert.ok(keys(width).length <= keys(width + 50).length);
});

test("what is left of the width goes to names most", () => {
  const parts = columnParts(LAYER_COLUMNS, 5000);
  assert.ok(Math.abs(parts.reduce((a, b) => a + b) - 5000) < 10);
  assert.equal(Math.max(...parts), parts[0]);
  const [name, size] = columnParts(LAYER_COLUMNS, 270);
  assert.ok(name + size <= 270 && name >= 110);
  assert.deepEqual(columnParts(LAYER_COLUMNS.slice(0, 1), 10), [110]);
});

test("only rows in view and a few around them are drawn", () => {
  assert.deepEqual(rowWindow(0, 320, 32, 3000, 8), [0, 18]);
  assert.deepEqual(rowWindow(32000, 320, 32, 3000, 8), [992, 1018]);
  assert.deepEqual(rowWindow(99999, 320, 32, 10, 8), [10, 10]);
  assert.deepEqual(rowWindow(0, 320, 32, 0), [0, 0]);
});

test("a window is scrolled as little as shows a row whole", () => {
  assert.equal(scrolledTo(5, 0, 320, 32), 0);
  assert.equal(scrolledTo(10, 0, 320, 32), 32);
  assert.equal(scrolledTo(5, 320, 320, 32), 160);
});

test("keys move a cursor within the rows", () => {
  const moved = (key, at) => movedRow(key, at, 100, 10);
  assert.deepEqual([moved("ArrowUp", 0), moved("ArrowDown", 99), moved("ArrowDown", 3)], [0, 99, 4]);
  assert.deepEqual([moved("Home", 50), moved("End", 50), moved("PageUp", 5), moved("PageDown", 50)], [0, 99, 0, 60]);
  assert.equal(moved("x", 5), -1);
  assert.equal(movedRow("End", 0, 0, 10), -1);
});
