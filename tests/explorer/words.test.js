import assert from "node:assert/strict";
import test from "node:test";

import {
  axisWords,
  boxWord,
  coordinateWord,
  countWord,
  fileName,
  numberWord,
  placeWord,
  runsWord,
  seenSentence,
  shapeWord,
  shareWord,
  sizeWord,
  typedIndex,
  unitWord,
  wrappedLines,
} from "../../fastrf/explorer/page/words.js";

test("numbers: unknown and unbounded are said so", () => {
  assert.equal(numberWord(1234567), "1,234,567");
  assert.equal(numberWord(0.333333), "0.33");
  assert.equal(numberWord(NaN), "unknown");
  assert.equal(numberWord(Infinity), "unbounded");
  assert.equal(numberWord(null), "unknown");
  assert.deepEqual([coordinateWord(1.0625), coordinateWord(-3.5)], ["1.0625", "-3.5"]);
});

test("commas stand in counts, and between the numbers of indices, boxes and centres", () => {
  assert.equal(placeWord([1022, 12345]), "1022, 12345");
  assert.equal(boxWord([[5607, 8183]]), "[5607,\u00a08183)");
  assert.deepEqual([7, 7959.5].map(coordinateWord), ["7", "7959.5"]);
  assert.deepEqual(
    [0, 1, 1022].map((count) => countWord(count, "position")),
    ["0 positions", "1 position", "1,022 positions"],
  );
});

test("shares never round to nothing or to all", () => {
  assert.equal(shareWord(0, 5), "0 %");
  assert.equal(shareWord(5, 5), "100 %");
  assert.equal(shareWord(1, 1e9), "< 0.01 %");
  assert.equal(shareWord(1e9 - 1, 1e9), "> 99.99 %");
  assert.equal(shareWord(1, 3), "33.3 %");
  assert.equal(shareWord(NaN, 3), "unknown");
  assert.equal(shareWord(0, 0), "unknown");
});

test("places, shapes and boxes of every rank", () => {
  assert.equal(placeWord([3, 12345]), "3, 12345");
  assert.equal(placeWord([]), "the whole");
  assert.equal(shapeWord([3, 1024]), "3 × 1,024");
  assert.equal(
    boxWord([
      [0, 3],
      [4, 9],
    ]),
    "[0,\u00a03) × [4,\u00a09)",
  );
  assert.equal(boxWord(null), "nothing");
  assert.equal(
    sizeWord([
      [0, 3],
      [4, 9],
    ]),
    "3 × 5",
  );
  assert.deepEqual(axisWords(3), ["slice", "row", "column"]);
  assert.equal(axisWords(5)[4], "axis 4");
  assert.deepEqual(
    [0, 1, 2, 3, 4].map((rank) => unitWord(rank)),
    ["values", "samples", "pixels", "voxels", "elements"],
  );
  assert.equal(unitWord(2, 1), "pixel");
});

test("runs: the first few", () => {
  assert.equal(runsWord([]), "nothing");
  assert.equal(runsWord([0, 1, 2, 3], 1), "[0,\u00a01) and 1 more");
});

test("what is typed is an index, or a sentence with the remedy", () => {
  assert.deepEqual(typedIndex(" 3, 4 ", [5, 5]).index, [3, 4]);
  assert.deepEqual(typedIndex("3x4;1", [5, 5, 2]).index, [3, 4, 1]);
  assert.deepEqual(typedIndex("", []).index, []);
  assert.match(typedIndex("3", [5, 5]).problem, /2 whole numbers: row, column/);
  assert.match(typedIndex("3, 9", [5, 5]).problem, /Column 9 is outside 0 to 4/);
  for (const wrong of ["a, 1", "1.5, 1", "-1, 0", "1e9, 0"]) assert.equal(typedIndex(wrong, [5, 5]).index, null);
});

test("one sentence says position, size, box and count", () => {
  const told = {
    what: "Position 1, 2",
    count: 6,
    total: 24,
    box: [
      [0, 2],
      [0, 3],
    ],
    centre: [0.5, 1],
    unit: "pixels",
    clipped: true,
  };
  assert.equal(
    seenSentence(told),
    "Position 1, 2 sees 6 of 24 pixels (25.0 %), box [0,\u00a02) × [0,\u00a03), size 2 × 3. Centre 0.5, 1. The border cuts it.",
  );
  assert.equal(seenSentence({...told, box: null}), "Position 1, 2 sees nothing of the input.");
});

test("lines are cut at spaces, file names are plain", () => {
  assert.deepEqual(wrappedLines("one two three", 8), ["one two", "three"]);
  assert.deepEqual(wrappedLines("", 8), []);
  assert.equal(fileName("layer1.0/<b>conv</b>, net"), "layer1.0-b-conv-b-net");
  assert.equal(fileName("../.."), "receptive-field");
});
