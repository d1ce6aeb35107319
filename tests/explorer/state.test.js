import assert from "node:assert/strict";
import test from "node:test";

import {firstState} from "../../fastrf/explorer/page/opening.js";
import {makeStore, settler, stateFromHash, stateToHash} from "../../fastrf/explorer/page/state.js";
import {documentOf, windowField} from "./fields.js";

const small = () => windowField({positions: [4, 6], pixels: [8, 12], size: 3, stride: 2, start: -1});
const input = () => windowField({positions: [8, 12], pixels: [8, 12], size: 1});
const odd = 'a layer/@:&=#?,~ "<script>" ümlaut';
const doc = () => documentOf({input: input(), [odd]: small()});

test("a store tells what changed, once, and nothing where nothing did", () => {
  const store = makeStore({one: 1, at: [1, 2]});
  const heard = [];
  const stop = store.subscribe((state, changed) => heard.push([state.one, changed]));
  store.set({one: 2, at: [1, 2]});
  store.set({one: 2});
  stop();
  store.set({one: 3});
  assert.deepEqual(heard, [[2, ["one"]]]);
  assert.equal(store.get().one, 3);
});

test("a listener may set again while others are told", () => {
  const store = makeStore({one: 0, two: 0});
  store.subscribe((state, changed) => changed.includes("one") && store.set({two: state.one + 1}));
  const heard = [];
  store.subscribe((state) => heard.push([state.one, state.two]));
  store.set({one: 5});
  assert.deepEqual(heard.at(-1), [5, 6]);
});

test("a page opens with the output's middle position", () => {
  const state = settler(doc())(firstState(doc()), null);
  assert.equal(state.node, 1);
  assert.deepEqual(state.at, [2, 3]);
  assert.equal(state.tab, "stage");
});

test("of a classifier, a page opens with the last layer that has positions", () => {
  const classifier = {...small(), shape: [10], channelAxis: 0, positionShape: []};
  assert.equal(firstState(documentOf({input: input(), conv: small(), fc: classifier})).node, 1);
});

test("the address and back: every part of a view, with names that hold anything", () => {
  const {state} = stateFromHash("", doc());
  const store = makeStore(state, settler(doc()));
  store.set({
    tab: "areas",
    at: [3, 5],
    pixel: [7, 0],
    neuron: 1,
    inputChannel: 0,
    list: "graph",
    query: "conv & <b>",
    theme: "dark",
    axes: [1, 0],
    zoomMap: [
      [0.5, 2.5],
      [1, 4],
    ],
    zoomInput: [
      [1, 3],
      [2, 6],
    ],
    pins: [
      {model: 0, node: 1, at: [0, 0]},
      {model: 0, node: 0, at: [2, 2], neuron: 1},
    ],
  });
  const hash = stateToHash(store.get(), doc());
  const again = stateFromHash(`#${hash}`, doc());
  assert.deepEqual(again.problems, []);
  assert.deepEqual(again.state, store.get());
  assert.match(hash, /layer=a\+layer/);
});

test("two models: the address says which, for the layer and for pins", () => {
  const two = documentOf({input: input(), conv: small()}, {input: input(), other: small(), conv: small()});
  const store = makeStore(stateFromHash("", two).state, settler(two));
  assert.equal(store.get().model, 1);
  store.set({pins: [{model: 0, node: 1, at: [1, 1]}]});
  store.set({model: 0});
  assert.equal(two.models[0].nodes[store.get().node].name, "conv");
  const hash = stateToHash(store.get(), two);
  assert.match(hash, /model=old/);
  assert.deepEqual(stateFromHash(hash, two).state, store.get());
});

test("what the comparison matched is the same layer in the other model", () => {
  const two = documentOf({input: input(), conv: small()}, {input: input(), renamed: small()});
  two.changes = [{kind: "renamed", old: 1, new: 1, told: ""}];
  const store = makeStore(stateFromHash("", two).state, settler(two));
  store.set({model: 0});
  assert.equal(store.get().node, 1);
});

test("an address that asks for what is not there says so and shows the rest", () => {
  const {state, problems} = stateFromHash(
    `layer=nowhere&tab=cake&at=9,9&pixel=1,1&zoomMap=3:1,2:4&pin=x&channel=z`,
    doc(),
  );
  assert.equal(problems.length, 4);
  assert.match(problems[0], /nowhere/);
  assert.deepEqual(state.at, [2, 3]);
  assert.deepEqual(state.pixel, [1, 1]);
  assert.equal(state.zoomMap, null);
  assert.equal(state.neuron, null);
  assert.deepEqual(state.pins, []);
});

test("another layer: the position stays where it lies, channels and zoom fit", () => {
  const store = makeStore(stateFromHash("", doc()).state, settler(doc()));
  store.set({
    at: [3, 5],
    neuron: 1,
    zoomMap: [
      [0, 2],
      [0, 2],
    ],
  });
  store.set({node: 0});
  assert.deepEqual(store.get().at, [7, 11]);
  assert.equal(store.get().zoomMap, null);
  assert.equal(store.get().neuron, 1);
});

test("a layer without a field, and a map that is empty, have no position", () => {
  const empty = {...small(), positionShape: [0, 4]};
  const store = makeStore(
    stateFromHash("", doc()).state,
    settler(documentOf({input: input(), conv: small(), none: null, empty})),
  );
  store.set({node: 2});
  assert.equal(store.get().at, null);
  store.set({node: 3});
  assert.equal(store.get().at, null);
  store.set({node: 1});
  assert.deepEqual(store.get().at, [2, 3]);
});

test("slices: an index, all, or the middle of what is seen", () => {
  const volume = documentOf({input: input(), conv: windowField({positions: [4, 4, 4], pixels: [8, 8, 8], size: 3})});
  for (const slice of [[null], [-1], [5]]) {
    const {state} = stateFromHash("", volume);
    const hash = stateToHash({...state, slice}, volume);
    assert.deepEqual(stateFromHash(hash, volume).state.slice, slice);
  }
});

test("a comparison opens with what changed first, at a position that changed", () => {
  const wide = windowField({positions: [4, 6], pixels: [8, 12], size: 4, stride: 2, start: -2});
  const two = documentOf({input: input(), conv: small(), next: small()}, {input: input(), conv: wide, next: small()});
  two.changes = [
    {kind: "inherited", old: 2, new: 2, told: ""},
    {kind: "changed", old: 1, new: 1, told: ""},
  ];
  const {state} = stateFromHash("", two);
  assert.deepEqual([state.model, state.node, state.list], [1, 1, "changes"]);
  const [before, now] = two.models.map(({nodes}) => nodes[1].field.seenFrom(state.at).box());
  assert.notDeepEqual(before, now);
});

test("of a comparison a change at one end alone is found, and without one the middle is shown", () => {
  const ended = {...small(), seenFrom: (at) => (at[1] === 5 ? small().seenFrom([0, 0]) : small().seenFrom(at))};
  const two = (field) => documentOf({input: input(), conv: small()}, {input: input(), conv: field});
  for (const [field, at] of [
    [ended, [2, 5]],
    [small(), [2, 3]],
  ]) {
    const doc = two(field);
    doc.changes = [{kind: "changed", old: 1, new: 1, told: ""}];
    assert.deepEqual(stateFromHash("", doc).state.at, at);
  }
});
