// Answers over a grid of places that depend on each axis, or on few axes together, by few classes: every index is
// classed once, and every combination of classes is worked out once. In turns, so that the page stays awake.

/** So long, in milliseconds, a turn takes. */
const TURN = 12;
/** Tables of more combinations are kept as far as they are met. */
const MOST_COMBINED = 2 ** 22;
/** Numbers of classes are smaller. */
const CLASSES = 2 ** 26;

/** Gives the page a turn where the last one was long ago. */
export class Turns {
  constructor() {
    this.until = performance.now() + TURN;
    this.steps = 0;
  }

  get isOver() {
    this.steps += 1;
    return this.steps % 64 === 0 && performance.now() > this.until;
  }

  async pause() {
    await new Promise((resume) => setTimeout(resume));
    this.until = performance.now() + TURN;
  }
}

/** Its multiples are spread most evenly between whole numbers. */
const GOLDEN = (Math.sqrt(5) - 1) / 2;

/**
 * The places of a shape, or of no more than `most` cells over it: {shape, values, step, chosen}. A value is that of one
 * place of its cell, per axis `chosen`: now here, now there, so that what repeats does not look constant.
 */
export function gridOver(shape, most) {
  const step = shape.map(() => 1);
  const counts = () => shape.map((size, axis) => Math.ceil(size / step[axis]));
  const total = () => counts().reduce((n, size) => n * size, 1);
  while (total() > most) step[counts().indexOf(Math.max(...counts()))] *= 2;
  const chosen = shape.map((size, axis) => chosenOf(size, step[axis]));
  return {shape: counts(), values: new Float64Array(total()), step, chosen};
}

function chosenOf(size, step) {
  return Int32Array.from({length: Math.ceil(size / step)}, (_, k) => {
    const width = Math.min(step, size - k * step);
    return k * step + Math.floor((((k + 1) * GOLDEN) % 1) * width);
  });
}

/** How many of ascending numbers are below a bound. */
function countBelow(numbers, bound) {
  let [low, high] = [0, numbers.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle] < bound) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Fills the places of a grid that lie in a box at `offsets`, of these axes. Each of `parts` is {rows, classAt}: the
 * factors that it depends on, and a number for what it is at an index along every factor. `value` is of the numbers of
 * all parts.
 */
export async function fillGrid(grid, {offsets, axes, parts, value}, turns = new Turns()) {
  const ranges = grid.chosen.map((chosen, axis) =>
    [offsets[axis], offsets[axis] + axes.shape[axis]].map((end) => countBelow(chosen, end)),
  );
  if (ranges.some(([low, high]) => low >= high)) return;
  const blocks = blocksOf(axes, parts);
  for (const block of blocks) await classed(block, {grid, offsets, axes, ranges, parts}, turns);
  const table = new Combined(blocks, parts.length, value);
  await spread(grid, ranges, blocks, table, turns);
}

/** The axes grouped so that every part depends on those of one group, with the numbers of these parts. */
function blocksOf(axes, parts) {
  const owner = axes.factors.flatMap((own, axis) => own.map(() => axis));
  let blocks = axes.shape.map((_, axis) => ({axes: [axis], parts: []}));
  parts.forEach(({rows}, number) => {
    const own = [...new Set(rows.map((f) => owner[f]))];
    const touched = blocks.filter((block) => block.axes.some((axis) => own.includes(axis)));
    const joined = {axes: touched.flatMap((block) => block.axes), parts: [...touched.flatMap((block) => block.parts), number]};
    blocks = [...blocks.filter((block) => !touched.includes(block)), joined];
  });
  for (const block of blocks) block.axes.sort((a, b) => a - b);
  return blocks;
}

/** Numbers the combinations of a block's parts: `ids` of every index along its axes, `met` what each number means. */
async function classed(block, {grid, offsets, axes, ranges, parts}, turns) {
  const counts = block.axes.map((axis) => ranges[axis][1] - ranges[axis][0]);
  block.counts = counts;
  block.ids = new Int32Array(counts.reduce((n, count) => n * count, 1));
  block.met = [];
  const at = axes.sizes.map(() => 0);
  const known = new Map();
  const index = counts.map(() => 0);
  for (let k = 0; k < block.ids.length; k += 1) {
    block.axes.forEach((axis, j) => {
      const place = grid.chosen[axis][ranges[axis][0] + index[j]] - offsets[axis];
      splitInto(at, place, axes.lists[axis], axes.factors[axis]);
    });
    const own = block.parts.map((number) => parts[number].classAt(at));
    const key = own.length < 3 ? own.reduce((found, number) => found * CLASSES + number, 0) : own.join();
    let id = known.get(key);
    if (id === undefined) {
      id = block.met.length;
      known.set(key, id);
      block.met.push(own);
    }
    block.ids[k] = id;
    advance(index, counts);
    if (turns.isOver) await turns.pause();
  }
}

/** The next index, row-major. */
function advance(index, counts) {
  for (let j = counts.length - 1; j >= 0; j -= 1) {
    index[j] += 1;
    if (index[j] < counts[j]) return;
    index[j] = 0;
  }
}

function splitInto(at, place, sizes, factors) {
  for (let k = sizes.length - 1; k >= 0; k -= 1) {
    at[factors[k]] = place % sizes[k];
    place = Math.floor(place / sizes[k]);
  }
}

/** What combinations of the blocks' numbers are worth. */
class Combined {
  constructor(blocks, nParts, value) {
    Object.assign(this, {blocks, value, own: Array(nParts).fill(0)});
    this.total = 1;
    for (const block of blocks) {
      block.unit = this.total;
      this.total *= block.met.length;
    }
    const isSmall = this.total <= MOST_COMBINED;
    this.values = isSmall ? new Float64Array(this.total) : new Map();
    this.isKnown = isSmall ? new Uint8Array(this.total) : null;
  }

  at(key) {
    if (this.isKnown) {
      if (!this.isKnown[key]) {
        this.isKnown[key] = 1;
        this.values[key] = this.worked(key);
      }
      return this.values[key];
    }
    if (!this.values.has(key)) this.values.set(key, this.worked(key));
    return this.values.get(key);
  }

  worked(key) {
    for (const block of this.blocks) {
      const met = block.met[Math.floor(key / block.unit) % block.met.length];
      block.parts.forEach((number, k) => {
        this.own[number] = met[k];
      });
    }
    return this.value(this.own);
  }
}

/** Writes what every place of the ranges is worth. */
async function spread(grid, ranges, blocks, table, turns) {
  const {shape, values} = grid;
  const n = shape.length;
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((total, size) => total * size, 1));
  const counts = ranges.map(([low, high]) => high - low);
  const lines = counts.slice(0, -1).reduce((total, count) => total * count, 1);
  const width = n ? counts[n - 1] : 1;
  const index = counts.slice(0, -1).map(() => 0);
  for (let line = 0; line < lines; line += 1) {
    const place = index.reduce((sum, i, axis) => sum + (ranges[axis][0] + i) * strides[axis], n ? ranges[n - 1][0] : 0);
    let base = 0;
    let inner = null;
    for (const block of blocks) {
      if (n && block.axes.includes(n - 1)) {
        const first = block.axes.slice(0, -1).reduce((sum, axis, j) => (sum + index[axis]) * block.counts[j + 1], 0);
        inner = {ids: block.ids, first, unit: block.unit};
      } else base += block.ids[block.axes.reduce((sum, axis, j) => sum * block.counts[j] + index[axis], 0)] * block.unit;
    }
    for (let k = 0; k < width; k += 1) {
      values[place + k] = table.at(inner ? base + inner.ids[inner.first + k] * inner.unit : base);
      if (k % 4096 === 4095 && turns.isOver) await turns.pause();
    }
    advance(index, counts.slice(0, -1));
    if (turns.isOver) await turns.pause();
  }
}
