// Unions of products, counted and turned inside out: every axis is cut where a term begins or ends, and of each piece
// it is kept which terms hold it, as a mask of bits. A product of pieces is seen where some term holds all of them.

import {pushRun} from "./runs.js";

/** The bit of each of `n` terms. */
export function bitsOf(n) {
  return Array.from({length: n}, (_, k) => (n < 31 ? 1 << k : 1n << BigInt(k)));
}

/** The finest grouping of rows and columns, [{rows, cols}], that the parts of all terms respect. */
export function commonParts(terms) {
  let parts = [];
  for (const {rows, cols} of terms.flat()) {
    let [ownRows, ownCols] = [rows, cols];
    const rest = [];
    for (const part of parts) {
      if (part.rows.some((f) => ownRows.includes(f)) || part.cols.some((a) => ownCols.includes(a))) {
        ownRows = [...new Set([...ownRows, ...part.rows])];
        ownCols = [...new Set([...ownCols, ...part.cols])];
      } else rest.push(part);
    }
    parts = [...rest, {rows: ownRows, cols: ownCols}];
  }
  return parts.map(({rows, cols}) => ({rows: rows.toSorted(byValue), cols: cols.toSorted(byValue)}));
}

function byValue(a, b) {
  return a - b;
}

/** Calls back with every piece (low, high, mask of the terms that hold it) from the first run to the last. */
export function eachPiece(sets, bits, call) {
  const ends = [];
  sets.forEach((runs, k) => {
    for (const end of runs) ends.push([end, bits[k]]);
  });
  ends.sort((a, b) => a[0] - b[0]);
  let mask = bits[0] ^ bits[0];
  for (let k = 0; k < ends.length; k += 1) {
    if (k && ends[k][0] > ends[k - 1][0]) call(ends[k - 1][0], ends[k][0], mask);
    mask ^= ends[k][1];
  }
}

/** How many elements each set of terms holds, [[mask, count], ...] sorted by the mask. */
export function profile(sets, bits) {
  const found = new Map();
  eachPiece(sets, bits, (low, high, mask) => {
    if (mask) found.set(mask, (found.get(mask) ?? 0) + high - low);
  });
  return [...found].sort((a, b) => (a[0] < b[0] ? -1 : 1));
}

/** How many products of pieces some term holds, given the profile of each part. */
export function measure(profiles) {
  if (!profiles.length) return 1;
  let held = new Map(profiles[0]);
  for (const own of profiles.slice(1)) {
    const next = new Map();
    for (const [mask, count] of held) {
      for (const [other, more] of own) {
        const both = mask & other;
        if (both) next.set(both, (next.get(both) ?? 0) + count * more);
      }
    }
    held = next;
  }
  return [...held.values()].reduce((n, count) => n + count, 0);
}

/** The terms of what no term holds; `joined(term, axes)` is what a term holds of some axes together. */
export function complementOf(shape, terms, joined) {
  if (!terms.length) return [shape.map((size, axis) => ({axes: [axis], runs: [0, size]}))];
  const bits = bitsOf(terms.length);
  const parts = commonParts(terms.map((term) => term.map(({axes}) => ({rows: [], cols: axes}))));
  const whole = parts.map(({cols}) => ({axes: cols, runs: [0, cols.reduce((n, axis) => n * shape[axis], 1)]}));
  const pieces = parts.map(({cols}, k) => {
    const found = new Map();
    const zero = bits[0] ^ bits[0];
    const sets = [...terms.map((term) => joined(term, cols)), whole[k].runs];
    eachPiece(sets, [...bits, zero], (low, high, mask) => {
      if (!found.has(mask)) found.set(mask, []);
      pushRun(found.get(mask), low, high);
    });
    return [...found];
  });
  const rest = (k, active) => {
    if (!active) return [whole.slice(k)];
    if (k === parts.length) return [];
    return pieces[k].flatMap(([mask, runs]) => rest(k + 1, active & mask).map((more) => [{axes: parts[k].cols, runs}, ...more]));
  };
  return rest(0, bits.reduce((all, bit) => all | bit));
}
