// The engine against brute force, on small things that are drawn: runs, what is seen, relations in every form.

import assert from "node:assert/strict";
import {test} from "node:test";

import {Axes, Dependency} from "../../fastrf/explorer/page/engine/dependency.js";
import {Numbers} from "../../fastrf/explorer/page/engine/numbers.js";
import {Crossed, Paired, SomePairs, Stretched, Whole} from "../../fastrf/explorer/page/engine/relations.js";
import {
  pointsOf, pushRun, runsBoth, runsCount, runsHave, runsJoint, runsOfPoints, runsProjected, runsRepeated, runsUnion,
} from "../../fastrf/explorer/page/engine/runs.js";
import {Seen} from "../../fastrf/explorer/page/engine/seen.js";
import {fillGrid, gridOver} from "../../fastrf/explorer/page/engine/separable.js";
import {Full, Transposed} from "../../fastrf/explorer/page/engine/turned.js";

let state = 1;

/** A number below `n`, drawn. */
function draw(n) {
  state = (state * 48271) % 2147483647;
  return state % n;
}

const drawRuns = (n) => runsOfPoints(Array.from({length: draw(n + 1)}, () => draw(n)));
const points = (runs) => [...pointsOf(runs)];

/** A relation by its runs, of rows that are given. */
function whole(rows, nCols) {
  const indptr = Int32Array.from([0, ...rows.map((_, i) => rows.slice(0, i + 1).flat().length / 2)]);
  const ends = rows.flat();
  const start = Int32Array.from(ends.filter((_, k) => k % 2 === 0));
  return new Whole(rows.length, nCols, indptr, start, Int32Array.from(ends.filter((_, k) => k % 2)));
}

const drawWhole = (nRows, nCols) => whole(Array.from({length: nRows}, () => drawRuns(nCols)), nCols);

/** The rows of a relation turned round. */
function columnsOf(rows, nCols) {
  return Array.from({length: nCols}, (_, c) => runsOfPoints(rows.flatMap((row, i) => (runsHave(row, c) ? [i] : []))));
}

/** Everything that a relation says, asked both ways, against its rows. */
function agrees(relation, rows) {
  tells(relation, rows);
  const turned = new Transposed(relation);
  for (const one of [turned, turned.ready()]) tells(one, columnsOf(rows, relation.nCols));
}

function tells(relation, rows) {
  assert.equal(relation.nRows, rows.length);
  rows.forEach((row, i) => {
    assert.deepEqual([...relation.row(i)], [...row]);
    assert.equal(relation.count(i), runsCount(row));
    assert.deepEqual(relation.hull(i), row.length ? [row[0], row[row.length - 1]] : null);
  });
  columnsOf(rows, relation.nCols).forEach((column, c) => assert.deepEqual([...relation.column(c)], [...column]));
  assert.deepEqual([...relation.reach()], [...runsUnion(rows)]);
  assert.deepEqual([...relation.filled()], runsOfPoints(rows.flatMap((row, i) => (row.length ? [i] : []))));
  assert.equal(relation.pairs(), rows.reduce((n, row) => n + runsCount(row), 0));
}

test("sets of runs are sets", () => {
  for (let k = 0; k < 200; k += 1) {
    const [a, b] = [drawRuns(12), drawRuns(12)];
    const both = points(a).filter((i) => runsHave(b, i));
    assert.deepEqual(points(runsBoth(a, b)), both);
    assert.deepEqual(points(runsUnion([a, b])), [...new Set([...points(a), ...points(b)])].sort((x, y) => x - y));
    assert.equal(runsCount(a), points(a).length);
    const [middle, after] = [1 + draw(4), 1 + draw(3)];
    const found = runsProjected(a, middle, after);
    assert.deepEqual(points(found), [...new Set(points(a).map((i) => Math.floor(i / after) % middle))].sort((x, y) => x - y));
  }
});

test("repeated runs are those moved again and again", () => {
  for (let k = 0; k < 200; k += 1) {
    const [runs, step, times] = [drawRuns(9), draw(9) - 4, draw(60)];
    const moved = Array.from({length: times}, (_, i) => points(runs).map((point) => point + i * step)).flat();
    assert.deepEqual(points(runsRepeated(runs, step, times)), [...new Set(moved)].sort((x, y) => x - y));
  }
});

test("parts of entangled axes are joined", () => {
  for (let k = 0; k < 50; k += 1) {
    const sizes = [2 + draw(3), 2 + draw(3), 2 + draw(3)];
    const parts = [{axes: [0, 2], runs: drawRuns(sizes[0] * sizes[2])}, {axes: [1], runs: drawRuns(sizes[1])}];
    const found = [];
    for (let i = 0; i < sizes[0] * sizes[1] * sizes[2]; i += 1) {
      const [x, y, z] = [Math.floor(i / sizes[1] / sizes[2]), Math.floor(i / sizes[2]) % sizes[1], i % sizes[2]];
      if (runsHave(parts[0].runs, x * sizes[2] + z) && runsHave(parts[1].runs, y)) pushRun(found, i, i + 1);
    }
    assert.deepEqual(runsJoint(parts, [0, 1, 2], sizes), found);
  }
});

test("numbers of any length are read", () => {
  const numbers = new Numbers(Uint8Array.from([5, 0x80, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 15, 3, 4]), 0);
  assert.deepEqual([numbers.next(), numbers.next(), numbers.next()], [5, 128, 2 ** 53 - 1]);
  assert.deepEqual([numbers.signed(), numbers.signed()], [-2, 2]);
});

test("relations by their runs", () => {
  for (let k = 0; k < 30; k += 1) {
    const rows = Array.from({length: 1 + draw(5)}, () => drawRuns(6));
    agrees(whole(rows, 6), rows);
  }
  agrees(new Full(3, 4), Array(3).fill([0, 4]));
});

test("relations of long axes", () => {
  for (let k = 0; k < 60; k += 1) {
    const [period, step, times, begin] = [1 + draw(3), draw(4), draw(5), draw(3)];
    const pattern = Array.from({length: period}, () => drawRuns(5));
    const own = (turns, i) => pattern[i % period].map((end) => end + Math.floor(i / period) * step + 0 * turns);
    const first = Array.from({length: begin}, () => drawRuns(4));
    const row = (i) => (i < begin ? first[i] : own(0, i - begin));
    const core = Array.from({length: begin + 2 * period}, (_, i) => row(i));
    const nCols = 5 + 2 * step;
    const relation = new Stretched(whole(core, nCols), begin + period, period, step, times);
    agrees(relation, Array.from({length: begin + (2 + times) * period}, (_, i) => row(i)));
  }
});

test("relations of rows that are products, and of pairs", () => {
  for (let k = 0; k < 40; k += 1) {
    const parts = [3, 4].map((n) => whole(Array.from({length: 3}, () => runsUnion([[draw(n), n], drawRuns(n)])), n));
    const index = [0, 1].map(() => Int32Array.from({length: 6}, () => draw(3)));
    if (draw(2)) index.forEach((own) => (own[2] = -1));
    const rows = Array.from({length: 6}, (_, r) => (index[0][r] < 0 ? [] : runsJoint(
      parts.map((part, p) => ({axes: [p], runs: part.row(index[p][r])})), [0, 1], [3, 4])));
    agrees(new Crossed(parts, index), rows);
    const [guard, own] = [drawWhole(3, 4), draw(2)];
    const inner = drawWhole(own ? 4 : 3, 5);
    const pairs = Array.from({length: 12}, (_, r) => {
      const pair = [Math.floor(r / 4), r % 4];
      return runsHave(guard.row(pair[0]), pair[1]) ? inner.row(pair[own]) : [];
    });
    agrees(new Paired(guard, inner, own), pairs);
    agrees(new SomePairs(guard), pairs.map((_, r) => (runsHave(guard.row(Math.floor(r / 4)), r % 4) ? [r, r + 1] : [])));
  }
});

const SHAPE = [4, 5, 3];
const FORMS = [[[0], [1], [2]], [[0, 1], [2]], [[0], [1, 2]], [[0, 2], [1]], [[0, 1, 2]]];

function drawSeen(terms) {
  const size = (axes) => axes.reduce((n, axis) => n * SHAPE[axis], 1);
  return new Seen(SHAPE, Array.from({length: terms}, () => FORMS[draw(FORMS.length)].map((axes) => ({axes, runs: drawRuns(size(axes))}))));
}

const unflat = (i) => [Math.floor(i / 15), Math.floor(i / 3) % 5, i % 3];

test("what is seen is counted once, whatever terms it is of", () => {
  for (let k = 0; k < 150; k += 1) {
    const seen = drawSeen(draw(6));
    const mask = Array.from({length: 60}, (_, i) => Number(seen.has(unflat(i))));
    assert.deepEqual(Array.from(seen.mask()), mask);
    assert.equal(seen.count(), mask.reduce((n, one) => n + one, 0));
    assert.equal(seen.isEmpty, !mask.includes(1));
    const ends = SHAPE.map((_, axis) => runsOfPoints(mask.flatMap((one, i) => (one ? [unflat(i)[axis]] : []))));
    assert.deepEqual(SHAPE.map((_, axis) => [...seen.runs(axis)]), ends);
    assert.deepEqual(seen.box(), seen.isEmpty ? null : ends.map((runs) => [runs[0], runs[runs.length - 1]]));
    assert.deepEqual(Array.from(seen.complement().mask()), mask.map((one) => 1 - one));
  }
});

test("more terms than bits of a number", () => {
  const terms = Array.from({length: 40}, (_, k) => [{axes: [0], runs: [k, k + 2]}, {axes: [1], runs: [k, k + 2]}]);
  const seen = new Seen([50, 50], terms);
  assert.equal(seen.count(), 4 + 39 * 3);
  assert.equal(seen.complement().count(), 2500 - 4 - 39 * 3);
});

test("a raster says of every cell whether anything in it is seen", () => {
  for (let k = 0; k < 150; k += 1) {
    const seen = drawSeen(1 + draw(4));
    const axes = [[0], [2], [0, 1], [1, 0], [2, 0], [1, 2]][draw(6)];
    const other = [0, 1, 2].find((axis) => !axes.includes(axis));
    const fixed = draw(2) ? {[other]: draw(SHAPE[other])} : {};
    const window = axes.map((axis) => [draw(2), SHAPE[axis] - draw(2)]);
    const size = axes.map(() => 1 + draw(8));
    const holds = axes.map((axis, j) => Array.from({length: size[j]}, (_, cell) => {
      const n = window[j][1] - window[j][0];
      const first = window[j][0] + Math.floor((cell * n) / size[j]);
      return [first, Math.max(first + 1, window[j][0] + Math.floor(((cell + 1) * n) / size[j]))];
    }));
    const within = (i, cell, j) => unflat(i)[axes[j]] >= holds[j][cell][0] && unflat(i)[axes[j]] < holds[j][cell][1];
    const isAt = (i) => Object.entries(fixed).every(([axis, place]) => unflat(i)[axis] === place);
    const elements = Array.from({length: 60}, (_, i) => i).filter((i) => seen.has(unflat(i)) && isAt(i));
    const cells = Array.from({length: size.reduce((n, one) => n * one, 1)}, (_, at) => {
      const place = axes.length === 2 ? [Math.floor(at / size[1]), at % size[1]] : [at];
      return Number(elements.some((i) => place.every((cell, j) => within(i, cell, j))));
    });
    assert.deepEqual(Array.from(seen.raster(axes, size, fixed, window)), cells);
  }
});

test("masks that no memory holds are refused, boxes are not", () => {
  const seen = new Seen([2 ** 20, 2 ** 20], [[{axes: [0], runs: [5, 7]}, {axes: [1], runs: [0, 2 ** 20]}]]);
  assert.throws(() => seen.mask(), RangeError);
  assert.deepEqual(seen.box(), [[5, 7], [0, 2 ** 20]]);
  assert.equal(seen.count(), 2 ** 21);
  assert.equal(new Seen([2 ** 40, 2 ** 40], [[{axes: [0], runs: [0, 2 ** 40]}, {axes: [1], runs: [0, 2 ** 40]}]]).count(), NaN);
});

test("what has no axes, or no elements", () => {
  assert.deepEqual(Array.from(new Seen([], [[]]).mask()), [1]);
  assert.equal(new Seen([], []).count(), 0);
  assert.equal(new Seen([], []).complement().count(), 1);
  assert.equal(new Seen([0, 3], [[{axes: [0], runs: []}, {axes: [1], runs: [0, 3]}]]).isEmpty, true);
});

test("dependencies are asked both ways", () => {
  for (let k = 0; k < 30; k += 1) {
    const [from, to] = [new Axes([[2, 3], [2]]), Axes.of([4, 3])];
    const terms = Array.from({length: 1 + draw(3)}, () => [
      {rows: [0, 2], cols: [0], relation: drawWhole(4, 4)},
      {rows: draw(2) ? [1] : [], cols: [1], relation: null},
    ]);
    for (const term of terms) term[1].relation = drawWhole(term[1].rows.length ? 3 : 1, 3);
    const dependency = new Dependency(from, to, terms);
    for (let i = 0; i < 12; i += 1) {
      for (let c = 0; c < 12; c += 1) {
        const [at, pixel] = [[Math.floor(i / 2), i % 2], [Math.floor(c / 3), c % 3]];
        assert.equal(dependency.seen(at).has(pixel), dependency.transposed.seen(pixel).has(at));
        if (dependency.seen(at).has(pixel)) assert.ok(dependency.everything().has(pixel));
      }
    }
    assert.throws(() => dependency.seen([6, 0]), RangeError);
    assert.throws(() => dependency.seen([0]), RangeError);
    assert.throws(() => dependency.seen([0.5, 0]), RangeError);
  }
});

test("maps of too many places are sampled", () => {
  const small = gridOver([5, 7], 100);
  assert.deepEqual([small.shape, small.step], [[5, 7], [1, 1]]);
  assert.deepEqual(small.chosen.map((own) => [...own]), [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5, 6]]);
  const {shape, step, chosen} = gridOver([5, 70], 100);
  assert.deepEqual([shape, step], [[5, 18], [1, 4]]);
  assert.deepEqual([...chosen[1]].map((index) => Math.floor(index / 4)), [...Array(18).keys()]);
  assert.ok(chosen[1][17] < 70);
});

test("samples meet every phase of a stride alike", () => {
  const {chosen, step} = gridOver([8000], 1000);
  assert.deepEqual(step, [8]);
  const met = Array(8).fill(0);
  for (const index of chosen[0]) met[index % 8] += 1;
  assert.ok(Math.min(...met) > 120 && Math.max(...met) < 130, String(met));
});

test("a box of a sampled grid is filled where a chosen place lies in it", async () => {
  const grid = gridOver([70], 20);
  for (const [low, high] of [[0, 13], [13, 41], [41, 70]]) {
    const axes = Axes.of([high - low]);
    await fillGrid(grid, {offsets: [low], axes, parts: [], value: () => low + 1});
  }
  assert.deepEqual([...grid.values], [...grid.chosen[0]].map((at) => (at < 13 ? 1 : at < 41 ? 14 : 42)));
});
