import assert from "node:assert/strict";
import {test} from "node:test";

import {changeName, changedLayer, groupedChanges, isChangeOf, tellChanges} from "../../fastrf/explorer/page/pairs.js";

const CHANGES = [
  {kind: "inherited", old: 3, new: 4, told: "size 139 -> 171"},
  {kind: "changed", old: 2, new: 3, told: "dilation 1 -> 2"},
  {kind: "added", old: null, new: 2, told: ""},
  {kind: "removed", old: 1, new: null, told: ""},
  {kind: "inherited", old: 4, new: 5, told: ""},
];
const MODELS = [
  ["x", "gone", "a", "b", "c"],
  ["x", "y", "fresh", "a", "b2", "c"],
].map((names) => ({nodes: names.map((name) => ({name}))}));

test("what changed itself comes first, what follows from it last", () => {
  assert.deepEqual(
    groupedChanges(CHANGES).map(({kind, changes}) => [kind, changes.length]),
    [
      ["changed", 1],
      ["added", 1],
      ["removed", 1],
      ["inherited", 2],
    ],
  );
  assert.equal(tellChanges(CHANGES), "1 changed, 1 added, 1 removed, 2 inherited");
  assert.equal(tellChanges([]), "no layer differs");
});

test("a change chooses its layer in the shown model's terms, or in the other's where it is not there", () => {
  assert.deepEqual(changedLayer(CHANGES[0], 0), {model: 0, node: 3});
  assert.deepEqual(changedLayer(CHANGES[0], 1), {model: 1, node: 4});
  assert.deepEqual(changedLayer(CHANGES[2], 0), {model: 1, node: 2});
  assert.deepEqual(changedLayer(CHANGES[3], 1), {model: 0, node: 1});
  assert.ok(isChangeOf(CHANGES[0], {model: 0, node: 3}));
  assert.ok(!isChangeOf(CHANGES[0], {model: 1, node: 3}));
});

test("both names are told where they differ", () => {
  assert.deepEqual(
    CHANGES.map((change) => changeName(change, MODELS)),
    ["b → b2", "a", "fresh", "gone", "c"],
  );
});
