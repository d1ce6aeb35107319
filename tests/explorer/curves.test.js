import assert from "node:assert/strict";
import {test} from "node:test";

import {
  envelopeOf,
  growthLimit,
  growthOf,
  nearestPoint,
  roundTicks,
  scaleOnto,
} from "../../fastrf/explorer/page/curves.js";
import {layersOf} from "./layers.js";

const NODES = layersOf(
  ["x"],
  ["a", ["x"], {size: [3, 3]}],
  ["b", ["a"], {size: [9, 9]}],
  ["short", ["x"], {size: [1, 1]}],
  ["sum", ["b", "short"], {size: [Infinity, Infinity]}],
  ["mask", [], {size: []}],
);

test("depth is the longest way, and axes that agree are one series", () => {
  const growth = growthOf({nodes: NODES}, [8, 8]);
  assert.deepEqual([...growth.depths], [0, 1, 2, 1, 3, 0]);
  assert.deepEqual(growth.nodes, [0, 1, 2, 3, 4]);
  assert.deepEqual(growth.series, [{name: "every axis", extent: 8, sizes: [1, 3, 9, 1, Infinity]}]);
  assert.equal(growth.saturated, 2);
  assert.equal(growth.deepest, 3);
  assert.equal(growthLimit(growth), 9);
  assert.deepEqual(envelopeOf(growth, growth.series[0]), [
    [0, 1],
    [1, 3],
    [2, 9],
  ]);
});

test("axes that differ have a series each, also where only the input differs", () => {
  const wide = growthOf({nodes: NODES}, [8, 16]);
  assert.deepEqual(
    wide.series.map(({name, extent}) => [name, extent]),
    [
      ["rows", 8],
      ["columns", 16],
    ],
  );
  assert.equal(wide.saturated, 4);
  const sound = growthOf({nodes: layersOf(["x", [], {size: [1]}], ["y", ["x"], {size: [NaN]}])}, [100]);
  assert.deepEqual(
    sound.series.map(({name}) => name),
    ["along the axis"],
  );
  assert.equal(sound.saturated, -1);
  assert.equal(growthLimit(sound), 100);
  assert.deepEqual(growthOf({nodes: layersOf(["x", [], {size: []}])}, []).series, []);
});

test("scales run from end to end", () => {
  const linear = scaleOnto(0, 10, 100, 0);
  assert.deepEqual([0, 5, 10].map(linear), [100, 50, 0]);
  const log = scaleOnto(1, 100, 0, 10, true);
  assert.deepEqual(
    [1, 10, 100].map((value) => Math.round(log(value) * 1e9) / 1e9),
    [0, 5, 10],
  );
  assert.equal(scaleOnto(3, 3, 0, 10)(3), 0);
});

test("ticks are round", () => {
  assert.deepEqual(roundTicks(0, 483, 5), [0, 100, 200, 300, 400]);
  assert.deepEqual(roundTicks(0, 3, 10), [0, 1, 2, 3]);
  assert.deepEqual(roundTicks(1, 500, 9, true), [1, 2, 5, 10, 20, 50, 100, 200, 500]);
  assert.deepEqual(roundTicks(1, 5000, 4, true), [1, 10, 100, 1000]);
  assert.ok(roundTicks(1, 1e30, 5, true).length <= 8);
});

test("the nearest point is found, along the depth first", () => {
  assert.equal(
    nearestPoint(
      [
        [0, 0],
        [10, 0],
        [20, 100],
      ],
      [11, 90],
    ),
    2,
  );
  assert.equal(nearestPoint([], [0, 0]), -1);
});
