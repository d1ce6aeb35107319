// Relations turned round: which rows hold a column, asked one by one, or of all columns at once.

import {Crossed, Whole} from "./relations.js";
import {runsCount} from "./runs.js";

/** Relations of more pairs than this are turned round column by column. */
const MOST_PAIRS = 2 ** 25;

/** Rows and columns of a relation exchanged. */
export class Transposed {
  constructor(base) {
    this.base = base;
    this.nRows = base.nCols;
    this.nCols = base.nRows;
  }

  row(index) {
    return this.base.column(index);
  }

  count(index) {
    this.counts ??= columnCounts(this.base);
    return this.counts ? this.counts[index] : runsCount(this.base.column(index));
  }

  alike(index) {
    return this.base.alikeColumn ? this.base.alikeColumn(index) : index;
  }

  hull(index) {
    const runs = this.base.column(index);
    return runs.length ? [runs[0], runs[runs.length - 1]] : null;
  }

  column(index) {
    return this.base.row(index);
  }

  reach() {
    return this.base.filled();
  }

  filled() {
    return this.base.reach();
  }

  pairs() {
    return this.base.pairs();
  }

  /** The same, ready to be asked for many rows: by its runs, where that is not too much. */
  ready() {
    const {base} = this;
    if (!(base instanceof Whole) || base.nCols > MOST_PAIRS || base.pairs() > MOST_PAIRS) return this;
    const last = new Int32Array(base.nCols).fill(-2);
    const sets = new Int32Array(base.nCols + 1);
    const walk = (begin) => {
      for (let i = 0; i < base.nRows; i += 1) {
        for (let k = base.indptr[i]; k < base.indptr[i + 1]; k += 1) {
          for (let c = base.start[k]; c < base.stop[k]; c += 1) {
            begin(c, i, last[c] !== i - 1);
            last[c] = i;
          }
        }
      }
    };
    walk((c, i, isNew) => {
      if (isNew) sets[c + 1] += 1;
    });
    for (let c = 0; c < base.nCols; c += 1) sets[c + 1] += sets[c];
    const start = new Int32Array(sets[base.nCols]);
    const stop = new Int32Array(sets[base.nCols]);
    const next = sets.slice();
    last.fill(-2);
    walk((c, i, isNew) => {
      if (isNew) start[next[c]++] = i;
      stop[next[c] - 1] = i + 1;
    });
    return new Whole(base.nCols, base.nRows, sets, start, stop);
  }
}

/** How many rows hold each column of a relation that is looked through row by row; null for others, or too many. */
function columnCounts(base) {
  if (base.nCols > MOST_PAIRS || !(base instanceof Whole || base instanceof Crossed)) return null;
  const found = new Float64Array(base.nCols + 1);
  const alike = new Map();
  for (let row = 0; row < base.nRows; row += 1) {
    const key = base instanceof Crossed ? base.index.map((own) => own[row]).join() : row;
    alike.set(key, [row, (alike.get(key)?.[1] ?? 0) + 1]);
  }
  for (const [row, times] of alike.values()) {
    base.row(row).forEach((end, k) => {
      found[end] += k % 2 ? -times : times;
    });
  }
  for (let c = 0; c < base.nCols; c += 1) found[c + 1] += found[c];
  return found;
}

/** Every row holds every column. */
export class Full {
  constructor(nRows, nCols) {
    Object.assign(this, {nRows, nCols});
  }

  row() {
    return this.nCols ? [0, this.nCols] : [];
  }

  count() {
    return this.nCols;
  }

  hull() {
    return this.nCols ? [0, this.nCols] : null;
  }

  column() {
    return this.nRows ? [0, this.nRows] : [];
  }

  reach() {
    return this.nRows ? this.row() : [];
  }

  filled() {
    return this.nCols ? this.column() : [];
  }

  pairs() {
    return this.nRows * this.nCols;
  }
}
