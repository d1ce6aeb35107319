// What a page opens with, where its address asks for nothing else.

import {isIndexOf} from "./geometry.js";

const MOST_TRIED = 125;

// The view that a page opens with: the last model, what changed first in it, else its output.
export function firstState(doc) {
  const model = doc.models.length - 1;
  return {
    model,
    node: firstChange(doc)?.new ?? firstNode(doc.models[model]),
    tab: "stage",
    at: null,
    pixel: null,
    neuron: null,
    pins: [],
    slice: [],
    list: doc.changes.length ? "changes" : "table",
    query: "",
    theme: "auto",
    inputChannel: null,
    axes: [0, 0],
    zoomMap: null,
    zoomInput: null,
    zoomMatrix: null,
    hover: null,
  };
}

// An output, and of several the last one that has a map; before a classifier, the last layer that has one.
export function firstNode({nodes, outputs}) {
  const hasMap = (node) => Boolean(node.field) && node.positionShape.reduce((n, size) => n * size, 1) > 1;
  const known = outputs.filter((index) => nodes[index].field);
  const shown = known.findLast((index) => hasMap(nodes[index]));
  if (shown !== undefined) return shown;
  const last = known.at(-1) ?? nodes.findLast((node) => node.field)?.index ?? 0;
  return nodes.findLast((node) => node.index <= last && node.op !== "input" && hasMap(node))?.index ?? last;
}

// Of a comparison the first layer that changed of itself, else the first that changed; null where there is none.
function firstChange({models, changes}) {
  const shown = changes.filter((change) => change.new !== null && models[1]?.nodes[change.new].field);
  return shown.find(({kind}) => kind === "changed") ?? shown[0] ?? null;
}

// A position of a changed layer that sees something else than before: in the middle, at the ends, or between.
export function changedPlace({models, changes}, node) {
  const change = changes.find((one) => one.new === node && one.old !== null);
  const [before, now] = [change && models[0].nodes[change.old].field, models.at(-1).nodes[node].field];
  if (!before || String(before.positionShape) !== String(now.positionShape)) return null;
  const along = now.positionShape.map((n) => [...new Set([n >> 1, 0, n - 1, n >> 2, (3 * n) >> 2])]);
  const places = along.reduce((found, steps) => found.flatMap((place) => steps.map((i) => [...place, i])), [[]]);
  const seen = (field, at) => JSON.stringify([field.seenFrom(at).box(), field.seenFrom(at).count()]);
  return (
    places.slice(0, MOST_TRIED).find((at) => isIndexOf(at, now.positionShape) && seen(before, at) !== seen(now, at)) ??
    null
  );
}
