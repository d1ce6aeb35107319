import assert from "node:assert/strict";
import {test} from "node:test";

import {foldedGraph, modulesAround, modulesOf, openBrackets, startFolded} from "../../fastrf/explorer/page/folding.js";
import {layoutGraph} from "../../fastrf/explorer/page/layout.js";
import {layersOf, randomNumbers} from "./layers.js";

const BLOCKS = layersOf(
  ["input"],
  ["a.0.conv", ["input"]],
  ["a.0.relu", ["a.0.conv"]],
  ["a.1.conv", ["a.0.relu"]],
  ["a.1.add", ["a.1.conv", "a.0.relu"]],
  ["head", ["a.1.add"]],
);
const keysOf = (nodes, ...labels) =>
  new Set([...modulesOf(nodes).values()].filter(({label}) => labels.includes(label)).map(({key}) => key));

function isForward({edges}) {
  return edges.every(([from, to]) => from < to);
}

test("modules are the prefixes that layers share", () => {
  const modules = [...modulesOf(BLOCKS).values()];
  assert.deepEqual(
    modules.map(({label, depth, count, first, last}) => [label, depth, count, first, last]),
    [
      ["a", 1, 4, 1, 4],
      ["a.0", 2, 2, 1, 2],
      ["a.1", 2, 2, 3, 4],
    ],
  );
  assert.equal(modulesAround(BLOCKS[2], modulesOf(BLOCKS)).length, 2);
  assert.equal(modulesAround(BLOCKS[5], modulesOf(BLOCKS)).length, 0);
});

test("of modules around the same layers the innermost counts", () => {
  const nodes = layersOf(["x"], ["net.body.a", ["x"]], ["net.body.b", ["net.body.a"]]);
  assert.deepEqual(
    [...modulesOf(nodes).values()].map(({label}) => label),
    ["net.body"],
  );
  assert.equal(modulesAround(nodes[2], modulesOf(nodes)).length, 1);
});

test("a layer with a module's own name is within it", () => {
  const nodes = layersOf(["x"], ["block.conv", ["x"]], ["block", ["block.conv"]], ["head", ["block"]]);
  const folded = new Set(modulesOf(nodes).keys());
  assert.deepEqual(
    foldedGraph(nodes, folded).boxes.map((box) => box.nodes),
    [[0], [1, 2], [3]],
  );
});

test("what is folded is one box, and edges within it are gone", () => {
  const whole = foldedGraph(BLOCKS, new Set());
  assert.deepEqual(
    whole.boxes.map(({nodes}) => nodes),
    [[0], [1], [2], [3], [4], [5]],
  );
  const blocks = foldedGraph(BLOCKS, keysOf(BLOCKS, "a.0", "a.1"));
  assert.deepEqual(
    blocks.boxes.map(({nodes}) => nodes),
    [[0], [1, 2], [3, 4], [5]],
  );
  assert.deepEqual(blocks.edges, [
    [0, 1],
    [1, 2],
    [2, 3],
  ]);
  const outer = foldedGraph(BLOCKS, keysOf(BLOCKS, "a", "a.0"));
  assert.deepEqual(
    outer.boxes.map(({nodes}) => nodes),
    [[0], [1, 2, 3, 4], [5]],
  );
  assert.deepEqual([...outer.boxOf], [0, 1, 1, 1, 1, 2]);
});

test("a module that is left and entered again falls into parts", () => {
  const nodes = layersOf(["x"], ["m.a", ["x"]], ["other", ["m.a"]], ["m.b", ["other"]], ["m.c", ["m.b", "m.a"]]);
  const graph = foldedGraph(nodes, keysOf(nodes, "m"));
  assert.deepEqual(
    graph.boxes.map(({nodes: members, part, parts}) => [members, part, parts]),
    [
      [[0], 1, 1],
      [[1], 1, 2],
      [[2], 1, 1],
      [[3, 4], 2, 2],
    ],
  );
  assert.ok(isForward(graph));
});

test("two modules that read each other fall into parts, others stay whole", () => {
  const nodes = layersOf(
    ["x"],
    ["m.a", ["x"]],
    ["n.a", ["m.a"]],
    ["n.b", ["x"]],
    ["m.b", ["n.b"]],
    ["o.a", ["m.b", "n.a"]],
    ["o.b", ["o.a"]],
  );
  const graph = foldedGraph(nodes, keysOf(nodes, "m", "n", "o"));
  assert.ok(isForward(graph));
  assert.equal(graph.boxes.filter(({module}) => module !== null).length, 4);
  assert.deepEqual(graph.boxes.find(({nodes: members}) => members.includes(5)).nodes, [5, 6]);
});

test("whatever is folded of random networks, edges run forward and every layer has its box", () => {
  const random = randomNumbers(17);
  for (let round = 0; round < 200; round++) {
    const count = 2 + Math.floor(random() * 40);
    const name = (k) => `${"abc"[k % 3]}.${"xy"[(k >> 2) % 2]}.${k}`;
    const nodes = layersOf(
      ...Array.from({length: count}, (_, k) => [
        name(k),
        Array.from({length: Math.min(k, 1 + Math.floor(random() * 3))}, () => name(Math.floor(random() * k))),
      ]),
    );
    const folded = new Set([...modulesOf(nodes).keys()].filter(() => random() < 0.5));
    const graph = foldedGraph(nodes, folded);
    assert.ok(isForward(graph));
    assert.deepEqual(
      graph.boxes.flatMap(({nodes: members}) => members).sort((a, b) => a - b),
      [...nodes.keys()],
    );
    graph.boxes.forEach(({nodes: members}, box) => members.forEach((member) => assert.equal(graph.boxOf[member], box)));
    for (const node of nodes) for (const input of node.inputs) assert.ok(graph.boxOf[input] <= graph.boxOf[node.index]);
  }
});

test("a large network starts folded, as deep as the boxes allow", () => {
  const modules = modulesOf(BLOCKS);
  assert.equal(startFolded(BLOCKS, modules, 6).size, 0);
  assert.deepEqual(startFolded(BLOCKS, modules, 5), keysOf(BLOCKS, "a.0", "a.1"));
  assert.deepEqual(startFolded(BLOCKS, modules, 3), keysOf(BLOCKS, "a", "a.0", "a.1"));
  assert.deepEqual(startFolded(BLOCKS, modules, 1), keysOf(BLOCKS, "a", "a.0", "a.1"));
  const flat = layersOf(["a"], ["b", ["a"]]);
  assert.equal(startFolded(flat, modulesOf(flat), 1).size, 0);
});

test("brackets of open modules lie inside each other and never on each other", () => {
  const graph = foldedGraph(BLOCKS, new Set());
  const layout = layoutGraph(graph.boxes.length, graph.edges);
  const brackets = openBrackets(modulesOf(BLOCKS), new Set(), graph.boxOf, BLOCKS, layout);
  assert.deepEqual(
    brackets.map(({module, column}) => [module.label, column]),
    [
      ["a", 0],
      ["a.0", 1],
      ["a.1", 1],
    ],
  );
  assert.equal(openBrackets(modulesOf(BLOCKS), keysOf(BLOCKS, "a"), graph.boxOf, BLOCKS, layout).length, 0);
  assert.ok(
    brackets[0].top <= brackets[1].top &&
      brackets[1].bottom < brackets[2].top &&
      brackets[2].bottom <= brackets[0].bottom,
  );
});
