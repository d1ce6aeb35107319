import assert from "node:assert/strict";
import {test} from "node:test";

import {BOX, boxAt, boxBeside, edgePath, layoutGraph, ranksBetween} from "../../fastrf/explorer/page/layout.js";
import {randomNumbers} from "./layers.js";

// A network of `count` boxes in a row, some of which are read from further below too.
function randomEdges(random, count) {
  const edges = new Set();
  for (let to = 1; to < count; to++) {
    if (random() < 0.9) edges.add(`${to - 1 - Math.floor(random() * Math.min(to, 3))} ${to}`);
    if (random() < 0.3) edges.add(`${Math.floor(random() * to)} ${to}`);
  }
  return [...edges].map((edge) => edge.split(" ").map(Number));
}

test("a chain runs straight down", () => {
  const layout = layoutGraph(4, [
    [0, 1],
    [1, 2],
    [2, 3],
  ]);
  assert.deepEqual([...layout.ranks], [0, 1, 2, 3]);
  assert.equal(new Set(layout.x).size, 1);
  assert.equal(layout.height, 4 * BOX.height + 3 * BOX.gap);
  assert.equal(edgePath(layout, layout.edges[0]), `M${layout.x[0]} ${BOX.height}V${BOX.height + BOX.gap}`);
});

test("a shortcut runs in a lane beside the chain that it skips", () => {
  const layout = layoutGraph(4, [
    [0, 1],
    [1, 2],
    [2, 3],
    [0, 3],
  ]);
  assert.equal(new Set(layout.x).size, 1);
  const {lane} = layout.edges[3];
  assert.ok(Math.abs(lane - layout.x[0]) > BOX.width / 2);
  assert.deepEqual(
    layout.edges.slice(0, 3).map((edge) => edge.lane),
    [null, null, null],
  );
});

test("longer shortcuts lie around shorter ones", () => {
  const chain = Array.from({length: 9}, (_, k) => [k, k + 1]);
  const layout = layoutGraph(10, [...chain, [0, 9], [1, 8], [2, 7], [3, 6]]);
  const off = layout.edges.slice(9).map(({lane}) => Math.abs(lane - layout.x[0]));
  for (let k = 1; k < off.length; k++) assert.ok(off[k] <= off[k - 1]);
});

test("branches stand side by side about their source", () => {
  const layout = layoutGraph(5, [
    [0, 1],
    [0, 2],
    [0, 3],
    [1, 4],
    [2, 4],
    [3, 4],
  ]);
  assert.equal(layout.x[1], layout.x[0]);
  assert.equal(layout.x[2] - layout.x[0], layout.x[0] - layout.x[3]);
  assert.equal(layout.x[4], layout.x[0]);
});

test("an input that is read late stands right above its reader", () => {
  const layout = layoutGraph(5, [
    [0, 2],
    [2, 3],
    [3, 4],
    [1, 4],
  ]);
  assert.equal(layout.ranks[1], layout.ranks[4] - 1);
});

test("boxes and lanes of random networks never lie on each other, and all is within the drawing", () => {
  const random = randomNumbers(3);
  for (let round = 0; round < 60; round++) {
    const count = 1 + Math.floor(random() * 60);
    const layout = layoutGraph(count, randomEdges(random, count));
    for (const {from, to, lane} of layout.edges) {
      assert.ok(layout.ranks[from] < layout.ranks[to]);
      assert.equal(lane !== null, layout.ranks[to] > layout.ranks[from] + 1);
      for (let rank = layout.ranks[from] + 1; lane !== null && rank < layout.ranks[to]; rank++) {
        for (const box of layout.rows[rank]) assert.ok(Math.abs(layout.x[box] - lane) > BOX.width / 2);
      }
      if (lane !== null) assert.ok(lane >= 0 && lane <= layout.width);
    }
    for (const row of layout.rows) {
      const places = row.map((box) => layout.x[box]).sort((a, b) => a - b);
      places.forEach((x, k) => assert.ok(k === 0 || x - places[k - 1] >= BOX.width));
    }
    for (let box = 0; box < count; box++) {
      assert.ok(layout.x[box] - BOX.width / 2 >= 0 && layout.x[box] + BOX.width / 2 <= layout.width);
      assert.equal(boxAt(layout, layout.x[box], layout.y[box] + 5), box);
    }
  }
});

test("lanes of different boxes never run on each other", () => {
  const random = randomNumbers(5);
  const layout = layoutGraph(80, randomEdges(random, 80));
  const taken = new Map();
  for (const {from, to, lane} of layout.edges) {
    for (let rank = layout.ranks[from] + 1; lane !== null && rank < layout.ranks[to]; rank++) {
      const place = `${lane} ${rank}`;
      assert.equal(taken.get(place) ?? from, from);
      taken.set(place, from);
    }
  }
});

test("a thousand shortcuts over three thousand boxes are laid out", () => {
  const edges = [];
  for (let to = 1; to < 3000; to++) {
    edges.push([to - 1, to]);
    if (to % 3 === 0) edges.push([Math.max(0, to - 60), to]);
  }
  const layout = layoutGraph(3000, edges);
  assert.equal(layout.rows.length, 3000);
  assert.equal(new Set(layout.x).size, 1);
});

test("arrow keys follow edges up and down, and neighbours left and right", () => {
  const layout = layoutGraph(5, [
    [0, 1],
    [0, 2],
    [1, 3],
    [2, 4],
    [3, 4],
  ]);
  assert.equal(boxBeside(layout, 0, "ArrowDown"), 1);
  assert.equal(boxBeside(layout, 1, "ArrowUp"), 0);
  const [left, right] = layout.x[1] < layout.x[2] ? [1, 2] : [2, 1];
  assert.equal(boxBeside(layout, left, "ArrowRight"), right);
  assert.equal(boxBeside(layout, right, "ArrowLeft"), left);
  assert.equal(boxBeside(layout, 0, "ArrowUp"), 0);
  assert.equal(boxBeside(layout, 4, "ArrowDown"), 4);
  assert.equal(boxBeside(layout, 0, "Tab"), 0);
});

test("what lies between two heights is found by rank, and what is empty is drawn as such", () => {
  const layout = layoutGraph(3, [
    [0, 1],
    [1, 2],
  ]);
  assert.deepEqual(ranksBetween(layout, -50, 10), [0, 0]);
  assert.deepEqual(ranksBetween(layout, BOX.height + BOX.gap, 1e9), [1, 2]);
  assert.equal(boxAt(layout, layout.x[0], BOX.height + 1), -1);
  assert.equal(boxAt(layout, layout.x[0], -5), -1);
  assert.equal(layoutGraph(1, []).width > BOX.width, true);
  assert.equal(layoutGraph(0, []).rows.length, 0);
});
