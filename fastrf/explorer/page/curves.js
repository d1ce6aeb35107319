// Receptive-field size through depth: series per axis, scales and ticks. No DOM.

const AXIS_NAMES = {1: ["along the axis"], 2: ["rows", "columns"], 3: ["slices", "rows", "columns"]};

// {nodes, depths, series, saturated}: layers that have a size in the network's order, how many layers stand above each
// at most, a series per axis (one where all axes agree), the first layer that spans the input, or -1.
export function growthOf(model, extents) {
  const depths = longestPaths(model.nodes);
  const nodes = model.nodes.filter((node) => node.figures.size.length).map((node) => node.index);
  const sizes = nodes.map((index) => model.nodes[index].figures.size);
  const alike =
    extents.every((extent) => extent === extents[0]) &&
    sizes.every((size) => size.every((one) => Object.is(one, size[0])));
  const axes = alike ? extents.slice(0, 1) : extents;
  const names = AXIS_NAMES[extents.length] ?? extents.map((_, axis) => `axis ${axis}`);
  const series = axes.map((extent, axis) => ({
    name: alike && extents.length > 1 ? "every axis" : names[axis],
    extent,
    sizes: sizes.map((size) => size[axis]),
  }));
  const saturated =
    nodes.find((index) => model.nodes[index].figures.size.every((size, axis) => size >= extents[axis])) ?? -1;
  return {nodes, depths, series, saturated, deepest: nodes.reduce((most, index) => Math.max(most, depths[index]), 0)};
}

// The widest size at every depth, as [depth, size] in order; unbounded and unknown ones are no points of a line.
export function envelopeOf(growth, {sizes}) {
  const widest = new Map();
  growth.nodes.forEach((index, at) => {
    const [depth, size] = [growth.depths[index], sizes[at]];
    if (Number.isFinite(size) && !(widest.get(depth) >= size)) widest.set(depth, size);
  });
  return [...widest].sort((a, b) => a[0] - b[0]);
}

// The largest number that the plot must hold: finite sizes and the input's.
export function growthLimit(growth) {
  return growth.series.reduce(
    (most, {extent, sizes}) =>
      sizes.reduce((best, size) => (Number.isFinite(size) ? Math.max(best, size) : best), Math.max(most, extent)),
    1,
  );
}

// A function from [from, to] onto [low, high], linear or logarithmic (from is at least 1 then).
export function scaleOnto(from, to, low, high, isLog = false) {
  const measure = (value) => (isLog ? Math.log(Math.max(value, 1e-9)) : value);
  const [start, width] = [measure(from), measure(to) - measure(from) || 1];
  return (value) => low + ((measure(value) - start) / width) * (high - low);
}

// Round numbers between two ends, about as many as asked for.
export function roundTicks(from, to, count, isLog = false) {
  if (isLog) return logTicks(from, to, count);
  const rough = Math.max((to - from) / Math.max(count, 1), 1e-12);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(1, [1, 2, 5, 10].find((one) => one * power >= rough * 0.999) * power);
  const ticks = [];
  for (let tick = Math.ceil(from / step) * step; tick <= to; tick += step) ticks.push(tick);
  return ticks;
}

// The number of the point nearest to a place, of points [[x, y], ...].
export function nearestPoint(points, [px, py]) {
  let [best, least] = [-1, Infinity];
  points.forEach(([x, y], at) => {
    const distance = (x - px) ** 2 + ((y - py) / 2) ** 2;
    if (distance < least) [best, least] = [at, distance];
  });
  return best;
}

function longestPaths(nodes) {
  const depths = new Int32Array(nodes.length);
  for (const {index, inputs} of nodes)
    for (const input of inputs) depths[index] = Math.max(depths[index], depths[input] + 1);
  return depths;
}

function logTicks(from, to, count) {
  const powers = [];
  for (let power = 10 ** Math.floor(Math.log10(Math.max(from, 1))); power <= to; power *= 10) powers.push(power);
  const fine = powers.flatMap((power) => [power, 2 * power, 5 * power]);
  const ticks = (fine.length <= 1.5 * count ? fine : powers).filter((tick) => tick >= from && tick <= to);
  const every = Math.ceil(ticks.length / (1.5 * count));
  return ticks.filter((_, at) => at % every === 0);
}
