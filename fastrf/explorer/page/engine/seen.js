// Seen: what one place reads, or is read by, as a union of products of runs; nothing is unfolded before it is drawn.

import {pointsOf, runsBoth, runsCount, runsHave, runsJoint, runsMoved, runsProjected, runsUnion} from "./runs.js";
import {bitsOf, complementOf, measure, commonParts, profile} from "./unions.js";

/** A mask of more elements than this is not made. */
const MOST_ELEMENTS = 2 ** 28;

/** A union of terms; each is a list of parts {axes, runs} over different axes, which together are all of them. */
export class Seen {
  constructor(shape, terms) {
    this.shape = shape;
    this.terms = shape.includes(0) ? [] : terms.filter((term) => term.every((part) => part.runs.length));
  }

  get isEmpty() {
    return this.terms.length === 0;
  }

  /** The smallest box around it, [[lo, hi], ...] per axis; null where nothing is seen. */
  box() {
    if (this.isEmpty) return null;
    return this.shape.map((_, axis) => {
      const runs = this.runs(axis);
      return [runs[0], runs[runs.length - 1]];
    });
  }

  /** How many elements, each once; NaN beyond what numbers count exactly. */
  count() {
    if (this.isEmpty) return 0;
    if (this.terms.length === 1) return exactly(this.terms[0].reduce((n, part) => n * runsCount(part.runs), 1));
    const bits = bitsOf(this.terms.length);
    const profiles = commonParts(this.terms.map((term) => term.map((part) => ({rows: [], cols: part.axes})))).map(
      ({cols}) => profile(this.terms.map((term) => this.joined(term, cols)), bits),
    );
    return exactly(measure(profiles));
  }

  /** What a term holds of some axes together. */
  joined(term, axes) {
    const own = term.filter((part) => axes.includes(part.axes[0]));
    return runsJoint(own, axes, axes.map((axis) => this.shape[axis]));
  }

  has(index) {
    return this.terms.some((term) =>
      term.every(({axes, runs}) => runsHave(runs, axes.reduce((at, axis) => at * this.shape[axis] + index[axis], 0))),
    );
  }

  /** What is seen along one axis, in any place of the others. */
  runs(axis) {
    return runsUnion(this.terms.map((term) => this.along(term, axis)));
  }

  /** What a term holds along one axis. */
  along(term, axis) {
    const {axes, runs} = term.find((part) => part.axes.includes(axis));
    if (axes.length === 1) return runs;
    const after = axes.slice(axes.indexOf(axis) + 1).reduce((n, other) => n * this.shape[other], 1);
    return runsProjected(runs, this.shape[axis], after);
  }

  /** 0 or 1 for every element, row-major. Throws a RangeError where there are too many. */
  mask() {
    const total = this.shape.reduce((n, size) => n * size, 1);
    if (total > MOST_ELEMENTS) throw new RangeError(`a mask of ${total} elements; draw a part of it`);
    const mask = new Uint8Array(total);
    const strides = this.shape.map((_, axis) => this.shape.slice(axis + 1).reduce((n, size) => n * size, 1));
    for (const term of this.terms) {
      const last = term.find((part) => part.axes.includes(this.shape.length - 1));
      let places = [0];
      for (const part of term) if (part !== last) places = this.spread(places, part, strides);
      const lines = last ? this.lines(last, strides) : [0, 1];
      for (const place of places) {
        for (let k = 0; k < lines.length; k += 2) mask.fill(1, place + lines[k], place + lines[k + 1]);
      }
    }
    return mask;
  }

  /** Every element of a part, at each of some places. */
  spread(places, {axes, runs}, strides) {
    const own = Array.from(pointsOf(runs), (point) => this.place(point, axes, strides));
    return places.length === 1 ? own.map((place) => place + places[0]) : places.flatMap((a) => own.map((b) => a + b));
  }

  /** Where a row-major index over some axes lies in the whole. */
  place(point, axes, strides) {
    let found = 0;
    for (let k = axes.length - 1; k >= 0; k -= 1) {
      found += (point % this.shape[axes[k]]) * strides[axes[k]];
      point = Math.floor(point / this.shape[axes[k]]);
    }
    return found;
  }

  /** The runs of a part that has the last axis, as runs of the whole. */
  lines({axes, runs}, strides) {
    if (axes.every((axis, k) => axis === this.shape.length - axes.length + k)) return runs;
    const found = [];
    this.eachLine(axes, runs, (outer, low, high) => {
      const place = this.place(outer, axes.slice(0, -1), strides);
      found.push(place + low, place + high);
    });
    return found;
  }

  /** Runs of several axes cut into those of the last one: calls back with the index of the others, and a run. */
  eachLine(axes, runs, call) {
    const width = this.shape[axes[axes.length - 1]];
    for (let k = 0; k < runs.length; k += 2) {
      for (let at = runs[k]; at < runs[k + 1]; ) {
        const outer = Math.floor(at / width);
        const end = Math.min(runs[k + 1], (outer + 1) * width);
        call(outer, at - outer * width, end - outer * width);
        at = end;
      }
    }
  }

  /** What is left at fixed places, {axis: index}, of some axes: the same shape, of which these have that index alone. */
  at(fixed) {
    const axes = Object.keys(fixed).map(Number);
    if (!axes.length) return this;
    const terms = this.terms.map((term) => term.map((part) => {
      if (!part.axes.some((axis) => axes.includes(axis))) return part;
      const bounds = part.axes.map((axis) => ({axes: [axis], runs: one(fixed[axis], this.shape[axis])}));
      const sizes = part.axes.map((axis) => this.shape[axis]);
      return {axes: part.axes, runs: runsBoth(part.runs, runsJoint(bounds, part.axes, sizes))};
    }));
    return new Seen(this.shape, terms);
  }

  /** What is not seen. */
  complement() {
    return new Seen(this.shape, complementOf(this.shape, this.terms, (term, axes) => this.joined(term, axes)));
  }

  /**
   * 0 or 1 per cell of a grid laid over a window of one or two axes: 1 where any element of the cell is seen, at the
   * fixed indices of other axes, and at any of the rest. Costs what the cells cost.
   */
  raster(axes, size, fixed = {}, window = axes.map((axis) => [0, this.shape[axis]])) {
    const grids = axes.map((_, k) => new Grid(window[k], size[k]));
    const found = new Uint8Array(size.reduce((n, cells) => n * cells, 1));
    for (const term of this.at(fixed).terms) {
      const parts = axes.map((axis) => term.find((part) => part.axes.includes(axis)));
      if (axes.length === 2 && parts[0] === parts[1]) {
        this.rasterJoint(found, parts[0], axes, grids);
        continue;
      }
      const marks = axes.map((axis, k) => grids[k].marks(this.along(term, axis)));
      if (axes.length === 1) marks[0].forEach((mark, cell) => (found[cell] |= mark));
      else overlay(found, marks);
    }
    return found;
  }

  /** Marks the cells of a part that holds both axes. */
  rasterJoint(found, {axes, runs}, shown, grids) {
    const flat = this.only(axes, runs, shown);
    const order = shown[0] < shown[1] ? [0, 1] : [1, 0];
    const width = this.shape[shown[order[1]]];
    const cells = grids[1].cells;
    this.eachLine(axes.filter((axis) => shown.includes(axis)), flat, (outer, low, high) => {
      const ends = [[outer, outer + 1], [low, Math.min(high, width)]].map((run, k) => grids[order[k]].marked(run[0], run[1]));
      const [rows, columns] = order[0] === 0 ? ends : [ends[1], ends[0]];
      for (let y = rows[0]; y < rows[1]; y += 1) found.fill(1, y * cells + columns[0], y * cells + columns[1]);
    });
  }

  /** Runs of several axes, as those of some of them, in any place of the others. */
  only(axes, runs, kept) {
    let left = axes;
    for (const axis of axes) {
      if (kept.includes(axis)) continue;
      const k = left.indexOf(axis);
      const after = left.slice(k + 1).reduce((n, other) => n * this.shape[other], 1);
      runs = forgotten(runs, this.shape[axis], after);
      left = left.filter((other) => other !== axis);
    }
    return runs;
  }
}

/** Runs over (before, middle, after) without the middle. */
function forgotten(runs, middle, after) {
  const sets = [];
  for (let k = 0; k < runs.length; k += 2) {
    for (let at = runs[k]; at < runs[k + 1]; ) {
      const outer = Math.floor(at / after);
      const end = Math.min(runs[k + 1], (outer + 1) * after);
      sets.push(runsMoved([at - outer * after, end - outer * after], Math.floor(outer / middle) * after));
      at = end;
    }
  }
  return runsUnion(sets);
}

function one(index, size) {
  return index === undefined ? [0, size] : index >= 0 && index < size ? [index, index + 1] : [];
}

function exactly(count) {
  return count > Number.MAX_SAFE_INTEGER ? NaN : count;
}

/** Ors the product of two axes' marks into a grid. */
function overlay(found, [rows, columns]) {
  const cells = columns.length;
  rows.forEach((mark, y) => {
    if (mark) for (let x = 0; x < cells; x += 1) found[y * cells + x] |= columns[x];
  });
}

/** Cells over a window of an axis: cell `k` holds the elements from `k * n / cells` on, one at least. */
class Grid {
  constructor([low, high], cells) {
    Object.assign(this, {low, high, cells, scale: cells / (high - low)});
  }

  first(cell) {
    return this.low + Math.floor((cell * (this.high - this.low)) / this.cells);
  }

  /** The cells [a, b) that hold any element of a run. */
  marked(low, high) {
    const start = Math.max(low, this.low);
    const stop = Math.min(high, this.high);
    if (start >= stop) return [0, 0];
    let a = Math.max(Math.floor((start - this.low) * this.scale) - 1, 0);
    while (a < this.cells && Math.max(this.first(a) + 1, this.first(a + 1)) <= start) a += 1;
    let b = Math.min(Math.ceil((stop - this.low) * this.scale) + 1, this.cells);
    while (b > a && this.first(b - 1) >= stop) b -= 1;
    return [a, b];
  }

  marks(runs) {
    const found = new Uint8Array(this.cells);
    for (let k = 0; k < runs.length; k += 2) {
      if (runs[k + 1] <= this.low || runs[k] >= this.high) continue;
      const [a, b] = this.marked(runs[k], runs[k + 1]);
      found.fill(1, a, b);
    }
    return found;
  }
}
