import assert from "node:assert/strict";
import {test} from "node:test";

import {
  measuredInput,
  spanClass,
  tellAxes,
  tellBriefly,
  tellLayer,
  tellNumber,
  tellRanges,
  tellShape,
  tellShare,
  unitOfAxes,
} from "../../fastrf/explorer/page/telling.js";
import {layersOf} from "./layers.js";

test("what is unbounded or unknown is said in words", () => {
  assert.deepEqual([Infinity, -Infinity, NaN, null, undefined].map(tellNumber), [
    "unbounded",
    "unbounded",
    "unknown",
    "unknown",
    "unknown",
  ]);
  assert.deepEqual([0, 0.5, 1 / 3, 25557032].map(tellNumber), ["0", "0.5", "0.3333333333", "25,557,032"]);
});

test("axes that agree are told once", () => {
  assert.equal(tellAxes([7, 7]), "7");
  assert.equal(tellAxes([7, Infinity]), "7 × unbounded");
  assert.equal(tellAxes([NaN, NaN]), "unknown");
  assert.equal(tellAxes([]), "none");
  assert.equal(
    tellRanges([
      [97, 99],
      [97, 99],
    ]),
    "97 to 99",
  );
  assert.equal(
    tellRanges([
      [NaN, NaN],
      [5, 5],
    ]),
    "unknown × 5",
  );
  assert.equal(tellShape([64, 56, 56]), "64 × 56 × 56");
  assert.equal(tellShape([]), "scalar");
});

test("counts have three figures", () => {
  assert.deepEqual([0, 999, 1000, 9408, 999999, 118013952, 4.1e9, null, Infinity].map(tellBriefly), [
    "0",
    "999",
    "1.00k",
    "9.41k",
    "1.00M",
    "118M",
    "4.10G",
    "unknown",
    "unbounded",
  ]);
});

test("a share is not rounded to nothing or to all", () => {
  assert.deepEqual([0, 1, 0.171, 0.0001, 0.9999, NaN, null].map(tellShare), [
    "0%",
    "100%",
    "17.1%",
    "< 0.1%",
    "> 99.9%",
    "unknown",
    "unknown",
  ]);
});

test("colours go by the widest share of the input", () => {
  const [small, whole, wide, far, lost, axisless] = layersOf(
    ["a", [], {size: [1, 1]}],
    ["b", [], {size: [8, 32]}],
    ["c", [], {size: [8, 16]}],
    ["d", [], {size: [Infinity, 3]}],
    ["e", [], {size: [NaN, 3]}],
    ["f", [], {size: []}],
  );
  assert.deepEqual(
    [small, whole, wide, far, lost, axisless].map((node) => spanClass(node, [64, 32])),
    ["0", "5", "4", "unbounded", "unknown", "unknown"],
  );
});

test("a layer is told in one line", () => {
  const [node] = layersOf(["block.conv", [], {module: "Conv2d", size: [5, 7], exact: false}]);
  assert.equal(tellLayer(node), "block.conv, Conv2d, 3 × 8 × 8, field 5 × 7 pixels, not exact");
  assert.deepEqual(
    [1, 2, 3, 4].map((axes) => unitOfAxes(axes)),
    ["samples", "pixels", "voxels", "elements"],
  );
  assert.equal(measuredInput({wrt: "gone", nodes: [node]}), node);
});
