import assert from "node:assert/strict";
import test from "node:test";

import {
  cellsShown,
  lookFrom,
  overlapOf,
  pixelBox,
  planeBox,
  seersOf,
  slicesShown,
  tellLook,
  withChannel,
} from "../../fastrf/explorer/page/looking.js";
import {ownStepEnd, matrixCells} from "../../fastrf/explorer/page/rasters.js";
import {curvePoints, heatCells, statisticsOf, valueAt} from "../../fastrf/explorer/page/values.js";
import {groundScene, inputScene, mapScene} from "../../fastrf/explorer/page/scenes.js";
import {windowField} from "./fields.js";

const field = windowField({positions: [4, 6], pixels: [8, 12], size: 3, stride: 2, start: -1});
const view = {
  left: 0,
  top: 0,
  width: 120,
  height: 80,
  window: [
    [0, 8],
    [0, 12],
  ],
};
const grey = [9, 9, 9, 1];
const palette = Object.fromEntries(
  ["seers", "text", "other", "mask", "both", "halo", "box", "centre", "accent", "empty", "line"].map((name) => [
    name,
    grey,
  ]),
);

test("a position and a neuron: count, box, centre, border", () => {
  const place = tellLook(lookFrom(field, [0, 1]));
  assert.deepEqual([place.count, place.total, place.unit, place.density], [6, 96, "pixels", 1]);
  assert.deepEqual(place.box, [
    [0, 2],
    [1, 4],
  ]);
  assert.deepEqual([place.centre, place.clipped], [[0, 2], true]);
  const neuron = tellLook(lookFrom(field, [1, 1], 1));
  assert.deepEqual([neuron.count, neuron.total, neuron.channels], [9, 192, [1, 2]]);
  assert.equal(tellLook(lookFrom(field, [1, 1], 1, 0)).count, 0);
  assert.deepEqual([tellLook(lookFrom(field, [1, 1], 1, 1)).total, lookFrom(field, [1, 1], 1, 1).axes], [96, [1, 2]]);
});

test("the same question is asked once", () => {
  let asked = 0;
  const counted = {
    ...field,
    seenFrom: (at) => {
      asked += 1;
      return field.seenFrom(at);
    },
  };
  assert.equal(lookFrom(counted, [1, 1]), lookFrom(counted, [1, 1]));
  lookFrom(counted, [1, 2]);
  assert.equal(asked, 2);
});

test("who sees a pixel, in any channel, in one", () => {
  assert.equal(seersOf(field, [1, 1]).seen.count(), 4);
  const {seen, axes} = seersOf(field, [1, 1], 1);
  assert.equal(seen.count(), 4);
  assert.deepEqual(axes, [1, 2]);
  assert.equal(seersOf(field, [1, 1], 1, 0).seen.count(), 0);
});

test("what two have in common", () => {
  const [one, other] = [lookFrom(field, [1, 1]), lookFrom(field, [1, 2])];
  assert.deepEqual(overlapOf(one, other), {one: 9, other: 9, both: 3, either: 15});
  assert.equal(overlapOf(one, lookFrom(field, [3, 5])).both, 0);
});

test("cells: of one look and of two, only what is on the screen", () => {
  const {window, size, bytes} = cellsShown(
    [lookFrom(field, [1, 1]), lookFrom(field, [1, 2])],
    field.pixelShape,
    {},
    view,
    1,
  );
  assert.deepEqual(window, [
    [1, 4],
    [1, 6],
  ]);
  assert.deepEqual(size, [3, 5]);
  assert.deepEqual([...bytes.slice(0, 5)], [1, 1, 3, 2, 2]);
  const elsewhere = {
    ...view,
    window: [
      [5, 8],
      [0, 12],
    ],
  };
  assert.equal(cellsShown([lookFrom(field, [1, 1])], field.pixelShape, {}, elsewhere, 1), null);
});

test("slices of a volume: one that is seen, one that is not, all", () => {
  const volume = windowField({positions: [4, 4, 4], pixels: [8, 8, 8], size: 2, stride: 2});
  const look = lookFrom(volume, [1, 1, 1]);
  const square = {
    ...view,
    window: [
      [0, 8],
      [0, 8],
    ],
  };
  const lit = (slice) => {
    const slices = slicesShown(volume.pixelShape, slice, pixelBox(look));
    return cellsShown([look], volume.pixelShape, slices, square, 1).bytes.reduce((a, b) => a + b, 0);
  };
  assert.deepEqual([[null], [2], [5], [-1]].map(lit), [4, 4, 0, 4]);
  assert.deepEqual(slicesShown([8, 8, 8], [null], null), {0: 3});
});

test("lines and single places have a plane, too", () => {
  assert.deepEqual(planeBox([[2, 4]]), [
    [0, 1],
    [2, 4],
  ]);
  assert.deepEqual(planeBox([]), [
    [0, 1],
    [0, 1],
  ]);
  assert.deepEqual(withChannel([1, 2], 1, 7), [1, 7, 2]);
  const line = windowField({positions: [10], pixels: [10], size: 3, start: -2});
  const {window, bytes} = cellsShown(
    [lookFrom(line, [5])],
    [10],
    {},
    {
      ...view,
      window: [
        [0, 1],
        [0, 10],
      ],
    },
    1,
  );
  assert.deepEqual(
    [window, [...bytes]],
    [
      [
        [0, 1],
        [3, 6],
      ],
      [1, 1, 1],
    ],
  );
});

test("scenes hold the masks, boxes and marks of a state", () => {
  const looks = [lookFrom(field, [1, 1]), lookFrom(field, [2, 2])];
  const shown = {view, ratio: 1, palette, slices: {}};
  const scene = inputScene({
    ...shown,
    shape: field.pixelShape,
    looks,
    centres: [[2, 2], null],
    pixel: [1, 1],
    cursor: null,
  });
  assert.deepEqual(
    scene.map(({kind}) => kind),
    ["cells", "box", "box", "box", "box", "cross", "box", "box"],
  );
  const map = mapScene({
    ...shown,
    shape: [4, 6],
    seers: seersOf(field, [1, 1]),
    pins: [{at: [0, 0], fill: null}],
    at: [1, 1],
    hover: null,
  });
  assert.deepEqual(
    map.map(({kind}) => kind),
    ["cells", "box", "box"],
  );
  assert.equal(groundScene({...shown, plane: [8, 12], image: {uri: "data:,"}})[1].kind, "image");
});

test("the matrix: past and future of a step, sampled where lines are fewer than positions", () => {
  const line = windowField({positions: [4], pixels: [8], size: 4, stride: 2, start: -1});
  const square = {
    left: 0,
    top: 0,
    width: 80,
    height: 80,
    window: [
      [0, 4],
      [0, 8],
    ],
  };
  const look = (row) => lookFrom(line, [row]);
  const {cells, sampled} = matrixCells(look, [0, 0], square, 1, ownStepEnd(2));
  assert.deepEqual([...cells.bytes.slice(0, 8)], [1, 1, 2, 0, 0, 0, 0, 0]);
  assert.deepEqual([...cells.bytes.slice(8, 16)], [0, 1, 1, 1, 2, 0, 0, 0]);
  assert.equal(sampled, 1);
  assert.equal(matrixCells(look, [0, 0], {...square, height: 2}, 1, null).sampled, 2);
  assert.equal(ownStepEnd(Infinity), null);
});

test("heat maps: values, samples, unknown ones", () => {
  const map = {shape: [2, 3], values: Float64Array.from([1, 2, 3, 4, NaN, 6]), step: [2, 2]};
  assert.equal(valueAt(map, [3, 5]), 6);
  assert.deepEqual(statisticsOf(map.values), {low: 1, high: 6, mean: 3.2, middle: 3, unknown: 1});
  assert.equal(statisticsOf(Float64Array.from([NaN])), null);
  const square = {
    ...view,
    window: [
      [0, 4],
      [0, 6],
    ],
  };
  const {bytes, size} = heatCells(map, [4, 6], {}, square, 1, {low: 1, high: 6});
  assert.deepEqual(size, [4, 6]);
  assert.deepEqual([bytes[0], bytes[23], bytes[20]], [1, 255, 0]);
  const line = {shape: [3], values: Float64Array.from([0, 10, 5]), step: [1]};
  assert.deepEqual(
    curvePoints(
      line,
      3,
      {
        ...view,
        window: [
          [0, 1],
          [0, 3],
        ],
      },
      {low: 0, high: 10},
    ).map(([, x]) => x),
    [0.5, 1.5, 2.5],
  );
});
