// Maps over all positions, or all pixels: areas, densities, what borders cut, coverage, blind spots. Exact; worked out in
// turns, so that the page stays awake. Maps of too many places are sampled, `step` apart along each axis.

import {rowOf} from "./dependency.js";
import {Transposed} from "./turned.js";
import {runsJoint, runsProjected} from "./runs.js";
import {bitsOf, measure, partsOf, profile} from "./unions.js";

/** Maps of more places are sampled. */
const MOST_PLACES = 2 ** 20;
/** So long, in milliseconds, a turn takes. */
const TURN = 12;
/** Numbers of classes of rows are smaller. */
const CLASSES = 2 ** 26;

/** How many pixels every position sees: {shape, values, step}; NaN where that cannot be counted exactly. */
export function areas(field) {
  return once(field, "areas", () => filled(field.positions.from, areaOf(field.positions)));
}

/** Area divided by that of the box around it; 0 where nothing is seen. */
export function densities(field) {
  return once(field, "densities", async () => {
    const [own, boxes] = [await areas(field), await filled(field.positions.from, boxOf(field.positions))];
    return {...own, values: own.values.map((area, k) => area / Math.max(boxes.values[k], 1))};
  });
}

/** 1 where a border cuts a position's nominal field, or may; else 0. */
export function clippedMap(field) {
  return once(field, "clipped", () => {
    const answer = (at, index) => (field.nominal.clipped(index, field.pixelShape) ? 1 : 0);
    return filled(field.positions.from, answer);
  });
}

/** How many positions see every pixel: {shape, values, step}. */
export function coverage(field) {
  const turned = field.positions.transposed;
  return once(field, "coverage", () => filled(turned.from, areaOf(turned)));
}

/** The pixels that no position sees. */
export function blind(field) {
  return field.positions.everything().complement();
}

const worked = new WeakMap();

function once(field, name, make) {
  if (!worked.has(field)) worked.set(field, new Map());
  const own = worked.get(field);
  if (!own.has(name)) own.set(name, make());
  return own.get(name);
}

/** An answer for every index of a shape, or for those of a grid that is not too fine. */
async function filled(axes, answer) {
  const {shape} = axes;
  const step = shape.map(() => 1);
  const counts = () => shape.map((size, axis) => Math.ceil(size / step[axis]));
  const total = () => counts().reduce((n, size) => n * size, 1);
  while (total() > MOST_PLACES) step[counts().indexOf(Math.max(...counts()))] *= 2;
  const values = new Float64Array(total());
  const grid = counts();
  const index = shape.map(() => 0);
  let until = performance.now() + TURN;
  for (let k = 0; k < values.length; k += 1) {
    values[k] = answer(axes.split(index), index);
    for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
      index[axis] += step[axis];
      if (index[axis] < shape[axis]) break;
      index[axis] = 0;
    }
    if (k % 256 === 255 && performance.now() > until) {
      await new Promise((resume) => setTimeout(resume));
      until = performance.now() + TURN;
    }
  }
  return {shape: grid, values, step};
}

/** A function that counts what an index sees. Rows that are cut alike are counted once. */
function areaOf(dependency) {
  const {terms} = dependency;
  if (terms.length < 2) return productOf(dependency);
  const parts = partsOf(terms).map((part) => new Part(part, dependency));
  const counted = new Map();
  return (at) => {
    const own = parts.map((part) => part.classAt(at));
    const name = own.length < 3 ? own.reduce((key, number) => key * CLASSES + number, 0) : own.join();
    let found = counted.get(name);
    if (found === undefined) {
      found = exact(measure(own.map((number, k) => parts[k].profiles[number])));
      counted.set(name, found);
    }
    return found;
  };
}

function productOf({terms, from}) {
  if (!terms.length) return () => 0;
  const groups = terms[0].map((group) => ({...group, relation: ready(group.relation)}));
  return (at) => exact(groups.reduce((n, group) => n * group.relation.count(rowOf(group, at, from.sizes)), 1));
}

function ready(relation) {
  return relation instanceof Transposed ? relation.ready() : relation;
}

function exact(count) {
  return count > Number.MAX_SAFE_INTEGER ? NaN : count;
}

/** Some factors and axes that all terms tell together, and what rows hold there, by classes of rows that hold alike. */
class Part {
  constructor({rows, cols}, {terms, from, to}) {
    Object.assign(this, {rows, cols, from, to, profiles: []});
    this.bits = bitsOf(terms.length);
    this.groups = terms.map((term) => term
      .filter((group) => group.rows.some((f) => rows.includes(f)) || group.cols.some((a) => cols.includes(a)))
      .map((group) => ({...group, relation: ready(group.relation)})));
    this.classes = new Map();
    this.numbers = new Map();
  }

  classAt(at) {
    const row = rowOf(this, at, this.from.sizes);
    let found = this.classes.get(row);
    if (found === undefined) {
      const sets = this.groups.map((groups) => this.held(groups, at));
      const own = profile(sets, this.bits);
      const name = own.join(";");
      if (!this.numbers.has(name)) {
        this.numbers.set(name, this.profiles.length);
        this.profiles.push(own);
      }
      found = this.numbers.get(name);
      this.classes.set(row, found);
    }
    return found;
  }

  /** What a term holds of the part's axes. */
  held(groups, at) {
    const parts = [];
    for (const group of groups) {
      const runs = group.relation.row(rowOf(group, at, this.from.sizes));
      if (!runs.length) return [];
      if (group.cols.length) parts.push({axes: group.cols, runs});
    }
    return runsJoint(parts, this.cols, this.cols.map((axis) => this.to.sizes[axis]));
  }
}

/** A function that counts the elements of the box around what an index sees. */
function boxOf({terms, from, to}) {
  return (at) => {
    const low = to.sizes.map(() => Infinity);
    const high = to.sizes.map(() => 0);
    for (const term of terms) {
      const hulls = term.map((group) => hullsAt(group, rowOf(group, at, from.sizes), to.sizes));
      if (hulls.some((own) => own === null)) continue;
      for (const [axis, first, last] of hulls.flat()) {
        low[axis] = Math.min(low[axis], first);
        high[axis] = Math.max(high[axis], last);
      }
    }
    return low.reduce((n, first, axis) => n * Math.max(high[axis] - first, 0), 1);
  };
}

const hullsOf = new WeakMap();

/** What a row of a group holds at most of each of its axes, [[axis, low, high], ...]; null where it holds nothing. */
function hullsAt({cols, relation}, row, sizes) {
  if (cols.length < 2) {
    const hull = relation.hull(row);
    return hull && cols.map((axis) => [axis, ...hull]);
  }
  if (!hullsOf.has(relation)) hullsOf.set(relation, new Map());
  const rows = hullsOf.get(relation);
  if (!rows.has(row)) {
    const runs = relation.row(row);
    rows.set(row, runs.length ? cols.map((axis, k) => {
      const after = cols.slice(k + 1).reduce((n, other) => n * sizes[other], 1);
      const own = runsProjected(runs, sizes[axis], after);
      return [axis, own[0], own[own.length - 1]];
    }) : null);
  }
  return rows.get(row);
}
