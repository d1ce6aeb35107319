// Layers for tests, as a document has them.

const FIGURES = {
  size: [1, 1],
  sizeRange: [
    [1, 1],
    [1, 1],
  ],
  stride: [1, 1],
  start: [0.5, 0.5],
  padding: [0, 0],
  clipped: 0,
  parameters: 0,
  macs: 0,
  irregular: "",
};

// Layers from [name, inputs by name, figures]: a network in order.
export function layersOf(...told) {
  const numbers = new Map(told.map(([name], index) => [name, index]));
  return told.map(
    ([name, inputs = [], {op = "conv", module = "", exact = true, shape = [3, 8, 8], ...figures} = {}], index) => ({
      index,
      name,
      op,
      module,
      exact,
      shape,
      path: name.split("."),
      inputs: inputs.map((input) => numbers.get(input)),
      figures: {
        ...FIGURES,
        ...figures,
        sizeRange: figures.sizeRange ?? (figures.size ?? FIGURES.size).map((size) => [size, size]),
      },
    }),
  );
}

// Numbers between 0 and 1 that are the same every time.
export function randomNumbers(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
