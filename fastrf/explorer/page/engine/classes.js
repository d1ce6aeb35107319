// Rows of a dependency by what they hold, wherever that lies: what counts areas and boxes, class by class.

import {rowOf} from "./dependency.js";
import {runsJoint, runsProjected} from "./runs.js";
import {Transposed} from "./turned.js";
import {bitsOf, commonParts, measure, profile} from "./unions.js";

/** Parts and a value for `fillGrid`: how many elements an index holds. */
export function countParts(dependency) {
  const {terms} = dependency;
  if (!terms.length) return {parts: [], value: () => 0};
  if (terms.length === 1) {
    const counted = terms[0].map((group) => new Counted(group, dependency.from.sizes));
    return {parts: counted, value: (numbers) => exactCount(numbers.reduce((n, number, k) => n * counted[k].met[number], 1))};
  }
  const bits = bitsOf(terms.length);
  const parts = commonParts(terms).map((part) => new Part(part, dependency, (sets) => profile(sets, bits)));
  return {parts, value: (numbers) => exactCount(measure(numbers.map((number, k) => parts[k].met[number])))};
}

/** The same: how many elements the box around them has. */
export function boxParts(dependency) {
  const {terms, to} = dependency;
  const parts = commonParts(terms).map((part) => new Part(part, dependency, (sets) => hullsOf(sets, part.cols, to.sizes)));
  const value = (numbers) => {
    const low = to.sizes.map(() => Infinity);
    const high = to.sizes.map(() => -Infinity);
    terms.forEach((_, term) => {
      const hulls = numbers.map((number, k) => parts[k].met[number][term]);
      if (hulls.includes(null)) return;
      for (const [axis, first, last] of hulls.flat()) {
        low[axis] = Math.min(low[axis], first);
        high[axis] = Math.max(high[axis], last);
      }
    });
    return low.reduce((n, first, axis) => n * Math.max(high[axis] - first, 0), terms.length ? 1 : 0);
  };
  return {parts, value};
}

function exactCount(count) {
  return count > Number.MAX_SAFE_INTEGER ? NaN : count;
}

/** Of every term the hulls of what it holds, [[axis, low, high], ...] from the first of all on; null where nothing. */
function hullsOf(sets, cols, sizes) {
  const found = sets.map((runs) => (runs.length ? cols.map((axis, k) => {
    const after = cols.slice(k + 1).reduce((n, other) => n * sizes[other], 1);
    const own = runsProjected(runs, sizes[axis], after);
    return [axis, own[0], own[own.length - 1]];
  }) : null));
  const some = found.filter((hulls) => hulls);
  const first = cols.map((_, k) => Math.min(...some.map((hulls) => hulls[k][1])));
  return found.map((hulls) => hulls && hulls.map(([axis, low, high], k) => [axis, low - first[k], high - first[k]]));
}

/** A group of an only term. `met` is how many columns rows hold, each number told once. */
class Counted {
  constructor({rows, relation}, sizes) {
    Object.assign(this, {rows, relation, sizes, met: [], numbers: new Map()});
  }

  classAt(at) {
    const row = rowOf(this, at, this.sizes);
    const count = this.relation.count(this.relation instanceof Transposed ? this.relation.alike(row) : row);
    if (!this.numbers.has(count)) {
      this.numbers.set(count, this.met.length);
      this.met.push(count);
    }
    return this.numbers.get(count);
  }
}

/** Some factors and axes that all terms tell together. `met` is what rows hold there, each told once. */
class Part {
  constructor({rows, cols}, {terms, from, to}, tell) {
    Object.assign(this, {rows, cols, from, to, tell, met: []});
    this.groups = terms.map((term) => term
      .filter((group) => group.rows.some((f) => rows.includes(f)) || group.cols.some((a) => cols.includes(a)))
      .map((group) => ({...group, relation: ready(group.relation)})));
    this.numbers = new Map();
    const [first, ...others] = this.groups.flat();
    this.only = others.length === 0 && first.relation.alike ? first.relation : null;
    this.alike = new Map();
  }

  /** The number of what a row holds, wherever that lies. */
  classAt(at) {
    if (!this.only) return this.told(at);
    const row = this.only.alike(rowOf(this, at, this.from.sizes));
    if (!this.alike.has(row)) this.alike.set(row, this.told(at));
    return this.alike.get(row);
  }

  told(at) {
    const own = this.tell(this.groups.map((groups) => this.held(groups, at)));
    const name = own.map((one) => (one === null ? "-" : String(one))).join(";");
    let found = this.numbers.get(name);
    if (found === undefined) {
      found = this.met.length;
      this.numbers.set(name, found);
      this.met.push(own);
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
    return parts.length === 1 ? parts[0].runs : runsJoint(parts, this.cols, this.cols.map((axis) => this.to.sizes[axis]));
  }
}

function ready(relation) {
  return relation instanceof Transposed ? relation.ready() : relation;
}
