// Fields for tests: square windows that move by a stride, over maps with channels, as the engine would answer.

import {Seen} from "../../fastrf/explorer/page/engine/seen.js";

// Position i of each axis sees [start + i * stride, start + i * stride + size) of the pixels; channel c of it sees
// input channel c alone.
export function windowField({positions, pixels, size, stride = 1, start = 0, channels = 2}) {
  const run = (i, n) => {
    const [low, high] = [Math.max(0, start + i * stride), Math.min(n, start + i * stride + size)];
    return low < high ? [low, high] : [];
  };
  const seersRun = (x, n) => {
    const sees = (i) => x >= start + i * stride && x < start + i * stride + size;
    const hit = Array.from({length: n}, (_, i) => i).filter(sees);
    return hit.length ? [hit[0], hit[hit.length - 1] + 1] : [];
  };
  const seen = (shape, runs) => new Seen(shape, [runs.map((own, axis) => ({axes: [axis], runs: own}))]);
  const own = (index, shape, of) => index.map((i, axis) => of(i, shape[axis]));
  return {
    shape: [channels, ...positions],
    inputShape: [channels, ...pixels],
    channelAxis: 0,
    inputChannelAxis: 0,
    positionShape: positions,
    pixelShape: pixels,
    seenFrom: (at) => seen(pixels, own(at, pixels, run)),
    neuronSeenFrom: ([c, ...at]) => seen([channels, ...pixels], [[c, c + 1], ...own(at, pixels, run)]),
    seers: (pixel) => seen(positions, own(pixel, positions, seersRun)),
    neuronSeers: ([c, ...pixel]) => seen([channels, ...positions], [[c, c + 1], ...own(pixel, positions, seersRun)]),
    center: (at) => at.map((i) => start + i * stride + (size - 1) / 2),
    isClipped: (at) => at.some((i, axis) => start + i * stride < 0 || start + i * stride + size > pixels[axis]),
  };
}

// A document with one model, or two, of nodes {name: field}.
export function documentOf(...models) {
  const told = models.map((nodes, k) => ({
    name: `net${k}`,
    wrt: "input",
    nodes: Object.entries(nodes).map(([name, field], index) => ({
      index,
      name,
      op: index ? "conv" : "input",
      module: "",
      shape: field?.shape ?? [1],
      positionShape: field?.positionShape ?? [],
      field,
    })),
    outputs: [Object.keys(nodes).length - 1],
  }));
  return {format: "fastrf explorer 1", title: "a test", image: null, models: told, changes: []};
}
