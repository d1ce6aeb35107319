// Answers questions to a document as the page would: `{document, asks}` on stdin, the answers on stdout, all as JSON.
// Run by tests/test_explorer_engine.py, which compares them with Python's, with the address of the engine to ask.

const engine = (name) => import(`${process.argv[2]}/${name}.js`);
const {lookahead, lookback} = await engine("context");
const {openDocument} = await engine("document");
const {areas, blind, clippedMap, coverage, densities} = await engine("maps");

const text = await new Response(process.stdin).text();
const {document, asks} = JSON.parse(text);
const doc = await openDocument(document);

/** A mask as the places where it changes. */
function changes(mask) {
  const found = [];
  let last = 0;
  mask.forEach((value, k) => {
    if (value !== last) found.push(k);
    last = value;
  });
  return found;
}

function told(seen) {
  const runs = seen.shape.map((_, axis) => [...seen.runs(axis)]);
  return {mask: changes(seen.mask()), box: seen.box(), count: seen.count(), runs, shape: seen.shape};
}

const plain = (values) => Array.from(values, (value) => (Number.isFinite(value) ? value : String(value)));
const map = async ({shape, values, step}) => ({shape, step, values: plain(values)});
const answers = {
  mask: (field, index) => told(field.seenFrom(index)),
  neuron: (field, index) => told(field.neuronSeenFrom(index)),
  seers: (field, index) => told(field.seers(index)),
  neuronSeers: (field, index) => told(field.neuronSeers(index)),
  center: (field, index) => plain(field.center(index)),
  areas: async (field) => map(await areas(field)),
  densities: async (field) => map(await densities(field)),
  clipped: async (field) => map(await clippedMap(field)),
  coverage: async (field) => map(await coverage(field)),
  blind: (field) => told(blind(field)),
  samples: async (field) => {
    const {values, step, chosen} = await coverage(field);
    const every = (_, k) => k % 17 === 0;
    return {step, places: [...chosen[0]].filter(every), values: plain(values.filter(every))};
  },
  looks: (field) => field.pixelShape.map((_, k) => {
    const both = [lookback(field, k), lookahead(field, k)];
    return both[0] === null ? null : plain(both);
  }),
  drawn: (field, [index, axes, size, fixed]) => {
    const seen = field.seenFrom(index);
    return [seen.box(), Array.from(seen.raster(axes, size, fixed))];
  },
  seersOf: (field, index) => [...field.seers(index).runs(0)],
  raster: (field, [index, axes, size, fixed, window]) => Array.from(field.seenFrom(index).raster(axes, size, fixed, window)),
};
const found = [];
for (const [model, node, what, index] of asks) found.push(await answers[what](doc.models[model].nodes[node].field, index));
process.stdout.write(JSON.stringify(found));
