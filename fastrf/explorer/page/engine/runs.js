// Runs: a set of whole numbers as a flat array [lo, hi, lo, hi, ...] of half-open intervals, sorted and apart.
// What relations hold in a row, and what a `Seen` holds along an axis.

/** How many numbers there are. */
export function runsCount(runs) {
  let total = 0;
  for (let k = 0; k < runs.length; k += 2) total += runs[k + 1] - runs[k];
  return total;
}

/** Whether a number is among them. */
export function runsHave(runs, value) {
  let low = 0;
  let high = runs.length >> 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (runs[2 * middle + 1] <= value) low = middle + 1;
    else high = middle;
  }
  return 2 * low < runs.length && runs[2 * low] <= value;
}

/** Put an interval behind others that begin no later; touching ones become one. */
export function pushRun(runs, low, high) {
  const last = runs.length - 1;
  if (last > 0 && low <= runs[last]) {
    if (high > runs[last]) runs[last] = high;
  } else runs.push(low, high);
}

/** What any of several sets holds. */
export function runsUnion(sets) {
  const some = sets.filter((runs) => runs.length);
  if (some.length < 2) return some.length ? some[0] : [];
  const ends = [];
  for (const runs of some) for (let k = 0; k < runs.length; k += 2) ends.push([runs[k], runs[k + 1]]);
  ends.sort((a, b) => a[0] - b[0]);
  const found = [];
  for (const [low, high] of ends) pushRun(found, low, high);
  return found;
}

/** What both hold. */
export function runsBoth(left, right) {
  const found = [];
  for (let i = 0, j = 0; i < left.length && j < right.length; ) {
    const low = Math.max(left[i], right[j]);
    const high = Math.min(left[i + 1], right[j + 1]);
    if (low < high) found.push(low, high);
    if (left[i + 1] < right[j + 1]) i += 2;
    else j += 2;
  }
  return found;
}

/** All numbers moved. */
export function runsMoved(runs, by) {
  return by ? Array.from(runs, (end) => end + by) : runs;
}

/** A set moved by nothing, by `step`, and so on, `times` times in all. */
export function runsRepeated(runs, step, times) {
  if (!runs.length || times < 1) return [];
  if (step === 0) return runs;
  if (step < 0) return runsRepeated(runsMoved(runs, step * (times - 1)), -step, times);
  const first = runs[0];
  const behind = runs[runs.length - 1];
  const over = Math.ceil((behind - first) / step) + 1; // so many copies may overlap at a place
  const few = (from, to) => runsUnion(Array.from({length: to - from}, (_, k) => runsMoved(runs, (from + k) * step)));
  if (times <= 4 * over) return few(0, times);
  const begins = few(0, 2 * over);
  const steady = [first + over * step, first + (over + 1) * step];
  const isDense = runsCount(runsBoth(begins, steady)) === step;
  if (isDense) return runsUnion([begins, [steady[0], first + times * step], few(times - 2 * over, times)]);
  const found = [...few(0, over)];
  if (over <= 2) {
    found.length = 0;
    for (let k = 0; k < times; k += 1) for (let i = 0; i < runs.length; i += 2) pushRun(found, runs[i] + k * step, runs[i + 1] + k * step);
    return found;
  }
  return few(0, times);
}

/** The numbers of a set that is not sorted, or repeats itself. */
export function runsOfPoints(points) {
  const found = [];
  for (const point of Float64Array.from(points).sort()) pushRun(found, point, point + 1);
  return found;
}

/** Every number in order. */
export function* pointsOf(runs) {
  for (let k = 0; k < runs.length; k += 2) for (let i = runs[k]; i < runs[k + 1]; i += 1) yield i;
}

/** Rows of `outer` and columns of `inner`, of which there are `width`, as one row-major set. */
export function runsProduct(outer, inner, width) {
  if (inner.length === 2 && inner[0] === 0 && inner[1] === width) return Array.from(outer, (end) => end * width);
  const found = [];
  for (const row of pointsOf(outer)) {
    for (let k = 0; k < inner.length; k += 2) pushRun(found, row * width + inner[k], row * width + inner[k + 1]);
  }
  return found;
}

/** With columns (before, middle, after): which middle ones a row-major set touches. */
export function runsProjected(runs, middle, after) {
  if (after === 1 && !(runs.length && runs[runs.length - 1] > middle)) return runs;
  const sets = [];
  for (let k = 0; k < runs.length; k += 2) {
    const low = Math.floor(runs[k] / after);
    const high = Math.ceil(runs[k + 1] / after);
    if (high - low >= middle) return [0, middle];
    const first = low % middle;
    const last = first + high - low;
    if (last <= middle) sets.push([first, last]);
    else sets.push([first, middle], [0, last - middle]);
  }
  return runsUnion(sets);
}

/** Parts over some of several axes each, [{axes, runs}], as one row-major set over all of `axes`, of these sizes. */
export function runsJoint(parts, axes, sizes) {
  const sorted = [...parts].sort((a, b) => axes.indexOf(a.axes[0]) - axes.indexOf(b.axes[0]));
  const order = sorted.flatMap((part) => part.axes);
  if (order.every((axis, k) => axis === axes[k])) {
    return sorted.reduce((found, part) => {
      const width = part.axes.reduce((n, axis) => n * sizes[axes.indexOf(axis)], 1);
      return runsProduct(found, part.runs, width);
    }, [0, 1]);
  }
  let points = [0];
  for (const part of parts) {
    const own = part.axes.map((axis) => axes.indexOf(axis));
    const below = own.map((k) => sizes.slice(k + 1).reduce((n, size) => n * size, 1));
    const places = Array.from(pointsOf(part.runs), (point) => placed(point, own.map((k) => sizes[k]), below));
    if (points.length * places.length > 2 ** 26) throw new RangeError("too many elements whose axes are entangled");
    points = points.flatMap((point) => places.map((place) => point + place));
  }
  return runsOfPoints(points);
}

/** Where a row-major index over axes of these sizes lies, given how much lies below each. */
function placed(point, sizes, below) {
  let found = 0;
  for (let k = sizes.length - 1; k >= 0; k -= 1) {
    found += (point % sizes[k]) * below[k];
    point = Math.floor(point / sizes[k]);
  }
  return found;
}
