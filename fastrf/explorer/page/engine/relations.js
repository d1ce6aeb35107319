// Relations of one axis to another: for every row the set of columns, as runs. They are read from the document where
// they are first looked at, and those in a shorter form stay in it: rows are worked out one by one.

import {Numbers} from "./numbers.js";
import {pointsOf, pushRun, runsBoth, runsHave, runsMoved, runsProduct, runsRepeated, runsUnion} from "./runs.js";

const WHOLE_32 = 2 ** 31;

/** A relation that is kept by its runs. */
export class Whole {
  constructor(nRows, nCols, indptr, start, stop) {
    Object.assign(this, {nRows, nCols, indptr, start, stop});
  }

  static read(bytes, at, [nRows, nCols, nRuns]) {
    const numbers = new Numbers(bytes, at);
    const indptr = new Int32Array(nRows + 1);
    const kind = nCols < WHOLE_32 ? Int32Array : Float64Array;
    const start = new kind(nRuns);
    const stop = new kind(nRuns);
    for (let i = 0; i < nRows; i += 1) indptr[i + 1] = indptr[i] + numbers.next();
    for (let k = 0, last = 0; k < nRuns; k += 1) start[k] = last += numbers.signed();
    for (let k = 0; k < nRuns; k += 1) stop[k] = start[k] + numbers.next();
    return new Whole(nRows, nCols, indptr, start, stop);
  }

  row(index) {
    const found = [];
    for (let k = this.indptr[index]; k < this.indptr[index + 1]; k += 1) found.push(this.start[k], this.stop[k]);
    return found;
  }

  count(index) {
    let total = 0;
    for (let k = this.indptr[index]; k < this.indptr[index + 1]; k += 1) total += this.stop[k] - this.start[k];
    return total;
  }

  hull(index) {
    const first = this.indptr[index];
    const last = this.indptr[index + 1];
    return last > first ? [this.start[first], this.stop[last - 1]] : null;
  }

  column(index) {
    const found = [];
    for (let i = 0; i < this.nRows; i += 1) {
      for (let k = this.indptr[i]; k < this.indptr[i + 1] && this.start[k] <= index; k += 1) {
        if (index < this.stop[k]) {
          pushRun(found, i, i + 1);
          break;
        }
      }
    }
    return found;
  }

  /** What any row holds. */
  reach() {
    const order = Array.from(this.start, (_, k) => k).sort((a, b) => this.start[a] - this.start[b]);
    const found = [];
    for (const k of order) pushRun(found, this.start[k], this.stop[k]);
    return found;
  }

  /** Which rows hold anything. */
  filled() {
    const found = [];
    for (let i = 0; i < this.nRows; i += 1) if (this.indptr[i + 1] > this.indptr[i]) pushRun(found, i, i + 1);
    return found;
  }

  pairs() {
    let total = 0;
    for (let k = 0; k < this.start.length; k += 1) total += this.stop[k] - this.start[k];
    return total;
  }
}

/** `times` periods put into a core before its row `cut`: rows `[cut - period, cut)` again, each time `step` columns on. */
export class Stretched {
  constructor(core, cut, period, step, times) {
    Object.assign(this, {core, cut, period, step, times});
    this.nRows = core.nRows + times * period;
    this.nCols = core.nCols + times * step;
  }

  /** How many periods lie before a row. */
  turns(index) {
    return Math.min(Math.max(Math.floor((index - this.cut) / this.period) + 1, 0), this.times);
  }

  row(index) {
    const turns = this.turns(index);
    return runsMoved(this.core.row(index - turns * this.period), turns * this.step);
  }

  count(index) {
    return this.core.count(this.alike(index));
  }

  /** A row of the core that holds the same, but for where it lies. */
  alike(index) {
    return index - this.turns(index) * this.period;
  }

  /** A column that as many rows hold, the first one of those that only periods hold. */
  alikeColumn(index) {
    this.steady ??= this.onlyPeriods();
    const [low, high] = this.steady;
    return index < low || index >= high ? index : low + ((index - low) % Math.abs(this.step));
  }

  /** The columns [low, high) that no row before the periods, or behind them, holds. */
  onlyPeriods() {
    const {core, cut, step, times} = this;
    if (step <= 0) return [0, 0];
    let low = 0;
    let high = Infinity;
    for (let at = 0; at < core.nRows; at += 1) {
      const hull = core.hull(at);
      if (hull && at < cut) low = Math.max(low, hull[1]);
      if (hull && at >= cut) high = Math.min(high, hull[0] + times * step);
    }
    return [low, Math.min(high, this.nCols)];
  }

  hull(index) {
    const turns = this.turns(index);
    const hull = this.core.hull(index - turns * this.period);
    return hull && [hull[0] + turns * this.step, hull[1] + turns * this.step];
  }

  column(index) {
    const {core, cut, period, times} = this;
    const before = runsBoth(core.column(index), [0, cut]);
    const behind = index - times * this.step;
    const after = behind < 0 ? [] : runsBoth(core.column(behind), [cut, core.nRows]);
    const [first, last] = this.between(index);
    let middle = [];
    if (this.step === 0) {
      const within = runsMoved(runsBoth(core.column(index), [cut - period, cut]), period - cut);
      middle = runsMoved(runsProduct([0, times], within, period), cut);
    } else {
      for (let turn = first; turn <= last; turn += 1) {
        for (let row = 0; row < period; row += 1) {
          const at = cut - period + row;
          if (runsHave(core.row(at), index - turn * this.step)) pushRun(middle, at + turn * period, at + turn * period + 1);
        }
      }
    }
    return runsUnion([before, middle, runsMoved(after, times * period)]);
  }

  /** The first and last turn that may hold a column. */
  between(index) {
    let low = Infinity;
    let high = -Infinity;
    for (let at = this.cut - this.period; at < this.cut; at += 1) {
      const hull = this.core.hull(at);
      if (hull) [low, high] = [Math.min(low, hull[0]), Math.max(high, hull[1])];
    }
    if (low > high || this.step === 0) return [1, 0];
    const ends = [(index - high + 1) / this.step, (index - low) / this.step];
    return [Math.max(Math.ceil(Math.min(...ends)), 1), Math.min(Math.floor(Math.max(...ends)), this.times)];
  }

  reach() {
    const {core, cut, period, step, times} = this;
    const sets = [];
    for (let at = 0; at < core.nRows; at += 1) sets.push(at < cut ? core.row(at) : runsMoved(core.row(at), times * step));
    const again = runsUnion(sets.slice(cut - period, cut));
    return runsUnion([...sets, runsRepeated(runsMoved(again, step), step, times)]);
  }

  filled() {
    const {core, cut, period, times} = this;
    const own = core.filled();
    const within = runsMoved(runsBoth(own, [cut - period, cut]), period - cut);
    const middle = runsMoved(runsProduct([0, times], within, period), cut);
    return runsUnion([runsBoth(own, [0, cut]), middle, runsMoved(runsBoth(own, [cut, core.nRows]), times * period)]);
  }

  pairs() {
    let total = this.core.pairs();
    for (let at = this.cut - this.period; at < this.cut; at += 1) total += this.times * this.core.count(at);
    return total;
  }
}

/** Row `r` is the product of rows `index[p][r]` of the parts `p`, and nothing where these are -1. */
export class Crossed {
  constructor(parts, index) {
    Object.assign(this, {parts, index});
    this.nRows = index[0].length;
    this.nCols = parts.reduce((n, part) => n * part.nCols, 1);
  }

  row(index) {
    if (this.index[0][index] < 0) return [];
    return this.parts.reduce((runs, part, p) => runsProduct(runs, part.row(this.index[p][index]), part.nCols), [0, 1]);
  }

  count(index) {
    if (this.index[0][index] < 0) return 0;
    return this.parts.reduce((n, part, p) => n * part.count(this.index[p][index]), 1);
  }

  hull(index) {
    if (this.index[0][index] < 0) return null;
    let [low, high] = [0, 0];
    this.parts.forEach((part, p) => {
      const hull = part.hull(this.index[p][index]);
      [low, high] = [low * part.nCols + hull[0], high * part.nCols + hull[1] - 1];
    });
    return [low, high + 1];
  }

  column(index) {
    const holds = [];
    for (let p = this.parts.length - 1; p >= 0; p -= 1) {
      const own = new Uint8Array(this.parts[p].nRows);
      for (const row of pointsOf(this.parts[p].column(index % this.parts[p].nCols))) own[row] = 1;
      holds[p] = own;
      index = Math.floor(index / this.parts[p].nCols);
    }
    const found = [];
    for (let r = 0; r < this.nRows; r += 1) {
      if (this.index[0][r] >= 0 && holds.every((own, p) => own[this.index[p][r]])) pushRun(found, r, r + 1);
    }
    return found;
  }

  reach() {
    const distinct = new Map();
    for (let r = 0; r < this.nRows; r += 1) {
      const key = this.index.map((own) => own[r]).join();
      if (this.index[0][r] >= 0 && !distinct.has(key)) distinct.set(key, r);
    }
    return runsUnion([...distinct.values()].map((r) => this.row(r)));
  }

  filled() {
    const found = [];
    for (let r = 0; r < this.nRows; r += 1) if (this.index[0][r] >= 0) pushRun(found, r, r + 1);
    return found;
  }

  pairs() {
    let total = 0;
    for (let r = 0; r < this.nRows; r += 1) total += this.count(r);
    return total;
  }
}

/** Row `(i, j)` holds what row `i` (`own` 0) or `j` (`own` 1) of `inner` holds, where row `i` of `guard` holds `j`. */
export class Paired {
  constructor(guard, inner, own) {
    Object.assign(this, {guard, inner, own});
    this.nRows = guard.nRows * guard.nCols;
    this.nCols = inner.nCols;
  }

  /** The row of `inner` that a pair has, or -1. */
  place(index) {
    const pair = [Math.floor(index / this.guard.nCols), index % this.guard.nCols];
    return runsHave(this.guard.row(pair[0]), pair[1]) ? pair[this.own] : -1;
  }

  row(index) {
    const place = this.place(index);
    return place < 0 ? [] : this.inner.row(place);
  }

  count(index) {
    const place = this.place(index);
    return place < 0 ? 0 : this.inner.count(place);
  }

  hull(index) {
    const place = this.place(index);
    return place < 0 ? null : this.inner.hull(place);
  }

  column(index) {
    return this.rowsOf(this.inner.column(index));
  }

  /** The pairs whose own one is among some. */
  rowsOf(own) {
    const {guard} = this;
    const found = [];
    const firsts = this.own ? [0, guard.nRows] : own;
    for (const i of pointsOf(firsts)) {
      const seconds = this.own ? runsBoth(guard.row(i), own) : guard.row(i);
      for (let k = 0; k < seconds.length; k += 2) pushRun(found, i * guard.nCols + seconds[k], i * guard.nCols + seconds[k + 1]);
    }
    return found;
  }

  reach() {
    const used = this.own ? this.guard.reach() : this.guard.filled();
    return runsUnion(Array.from(pointsOf(used), (row) => this.inner.row(row)));
  }

  filled() {
    return this.rowsOf(this.inner.filled());
  }

  pairs() {
    let total = 0;
    for (let i = 0; i < this.guard.nRows; i += 1) {
      if (this.own) for (const j of pointsOf(this.guard.row(i))) total += this.inner.count(j);
      else total += this.guard.count(i) * this.inner.count(i);
    }
    return total;
  }
}

/** Row `(i, j)` holds the column of its own number, where row `i` of `guard` holds `j`. */
export class SomePairs {
  constructor(guard) {
    this.guard = guard;
    this.nRows = guard.nRows * guard.nCols;
    this.nCols = this.nRows;
  }

  row(index) {
    const width = this.guard.nCols;
    return runsHave(this.guard.row(Math.floor(index / width)), index % width) ? [index, index + 1] : [];
  }

  count(index) {
    return this.row(index).length / 2;
  }

  hull(index) {
    const runs = this.row(index);
    return runs.length ? runs : null;
  }

  column(index) {
    return this.row(index);
  }

  reach() {
    const width = this.guard.nCols;
    const found = [];
    for (let i = 0; i < this.guard.nRows; i += 1) {
      const runs = this.guard.row(i);
      for (let k = 0; k < runs.length; k += 2) pushRun(found, i * width + runs[k], i * width + runs[k + 1]);
    }
    return found;
  }

  filled() {
    return this.reach();
  }

  pairs() {
    return this.guard.pairs();
  }
}
