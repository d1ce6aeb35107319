// A dependency: which elements of one tensor belong to each element of another, as a union of terms. A term is a list
// of groups {rows, cols, relation}: of some factors of the one to some factors of the other. It can be asked both ways.

import {Crossed} from "./relations.js";
import {runsHave, runsJoint} from "./runs.js";
import {Seen} from "./seen.js";
import {Full, Transposed} from "./turned.js";

/** A shape as its axes' factors: lists of sizes, the factors numbered over all axes. */
export class Axes {
  constructor(lists) {
    this.lists = lists;
    this.sizes = lists.flat();
    this.shape = lists.map((own) => own.reduce((n, size) => n * size, 1));
    let next = 0;
    this.factors = lists.map((own) => own.map(() => next++));
  }

  static of(shape) {
    return new Axes(shape.map((size) => [size]));
  }

  /** The index along every factor. */
  split(index) {
    const found = [];
    this.lists.forEach((own, axis) => {
      let left = index[axis];
      const parts = [];
      for (let k = own.length - 1; k >= 0; k -= 1) {
        parts.unshift(left % own[k]);
        left = Math.floor(left / own[k]);
      }
      found.push(...parts);
    });
    return found;
  }
}

export class Dependency {
  constructor(from, to, terms) {
    this.from = from;
    this.to = to;
    this.terms = from.sizes.includes(0) || to.sizes.includes(0) ? [] : terms;
  }

  /** What the element at an index holds. Throws a RangeError for an index outside. */
  seen(index) {
    checkIndex(index, this.from.shape);
    const at = this.from.split(index);
    const terms = this.terms.map((term) => this.termAt(term, at)).filter((parts) => parts);
    return seenOver(this.to, terms);
  }

  /** What any element holds. */
  everything() {
    const terms = this.terms.map((term) =>
      term.filter((group) => group.cols.length).map((group) => ({axes: group.cols, runs: group.relation.reach()})),
    );
    return seenOver(this.to, terms);
  }

  /** The parts of a term at an index along every factor; null where it holds nothing. */
  termAt(term, at) {
    const parts = [];
    for (const group of term) {
      const row = rowOf(group, at, this.from.sizes);
      const own = partsAt(group, row, this.to.sizes);
      if (own.some(({runs}) => !runs.length)) return null;
      if (group.cols.length) parts.push(...own);
    }
    return parts;
  }

  /** The other way round: which elements hold each one. */
  get transposed() {
    if (!this.turned) {
      const terms = this.terms.map((term) => {
        const named = new Set(term.flatMap((group) => group.rows));
        const groups = term.map(({rows, cols, relation}) => ({rows: cols, cols: rows, relation: turned(relation)}));
        this.from.sizes.forEach((size, f) => {
          if (!named.has(f)) groups.push({rows: [], cols: [f], relation: new Full(1, size)});
        });
        return groups;
      });
      this.turned = new Dependency(this.to, this.from, terms);
    }
    return this.turned;
  }
}

const turnedOnes = new WeakMap();

function turned(relation) {
  if (!turnedOnes.has(relation)) turnedOnes.set(relation, new Transposed(relation));
  return turnedOnes.get(relation);
}

/** The row of a group's relation at an index along every factor. */
export function rowOf(group, at, sizes) {
  let row = 0;
  for (const f of group.rows) row = row * sizes[f] + at[f];
  return row;
}

/** What a row of a group holds, as parts over its factors: several, where it is a product of such. */
function partsAt({cols, relation}, row, sizes) {
  const shares = relation instanceof Crossed && relation.index[0][row] >= 0 ? sharesOf(cols, relation.parts, sizes) : null;
  if (!shares) return [{axes: cols, runs: relation.row(row)}];
  return shares.map((axes, p) => ({axes, runs: relation.parts[p].row(relation.index[p][row])}));
}

/** Which of some factors each part of a product is over; null where parts and factors do not go together. */
function sharesOf(cols, parts, sizes) {
  let next = 0;
  const found = parts.map((part, p) => {
    const own = [];
    let width = 1;
    while (next < cols.length && (width < part.nCols || p === parts.length - 1 || sizes[cols[next]] === 1)) {
      width *= sizes[cols[next]];
      own.push(cols[next]);
      next += 1;
    }
    return width === part.nCols && own.length ? own : null;
  });
  return found.includes(null) ? null : found;
}

/** Parts over factors as what is seen of the axes they make up. */
function seenOver(axes, terms) {
  const owner = axes.factors.flatMap((own, axis) => own.map(() => axis));
  return new Seen(axes.shape, terms.map((parts) => fused(axes, owner, parts)));
}

/** The parts of a term, over factors, as parts over whole axes; factors that none names are held whole. */
function fused(axes, owner, parts) {
  const named = new Set(parts.flatMap((part) => part.axes));
  const all = [...parts];
  axes.sizes.forEach((size, f) => {
    if (!named.has(f)) all.push({axes: [f], runs: [0, size]});
  });
  const groups = [];
  for (const part of all) {
    let own = {axes: new Set(part.axes.map((f) => owner[f])), parts: [part]};
    for (const other of groups.filter((group) => [...group.axes].some((axis) => own.axes.has(axis)))) {
      groups.splice(groups.indexOf(other), 1);
      own = {axes: new Set([...own.axes, ...other.axes]), parts: [...other.parts, ...own.parts]};
    }
    groups.push(own);
  }
  const found = groups.map((group) => {
    const own = [...group.axes].sort((a, b) => a - b);
    const factors = own.flatMap((axis) => axes.factors[axis]);
    return {axes: own, runs: runsJoint(group.parts, factors, factors.map((f) => axes.sizes[f]))};
  });
  axes.factors.forEach((own, axis) => {
    if (!own.length) found.push({axes: [axis], runs: [0, 1]});
  });
  return found;
}

/** Throws a RangeError for what is no index of a shape. */
export function checkIndex(index, shape) {
  const fits = index.length === shape.length && index.every((i, axis) => runsHave([0, shape[axis]], i) && Number.isInteger(i));
  if (!fits) throw new RangeError(`(${index}) is no index of (${shape})`);
}
