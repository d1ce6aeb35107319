// What is known of the chosen layer: its figures with units, what they take for granted, and its neighbours.

import {element} from "./dom.js";
import {
  measuredInput,
  tellAxes,
  tellNumber,
  tellRanges,
  tellShape,
  tellShare,
  tellUnit,
  unitOfAxes,
} from "./telling.js";

const NEIGHBOURS = 12; // as many stand before the rest is asked for

// Fills an empty element with the figures of the store's node; names of other layers choose them.
export function mountFacts(root, doc, store) {
  const readers = doc.models.map((model) => readersOf(model.nodes));
  root.classList.add("layer-facts");
  const show = () => {
    const {model, node} = store.get();
    const hadFocus = root.contains(document.activeElement);
    const nodes = doc.models[model].nodes;
    root.replaceChildren(...factParts(doc.models[model], nodes[node], readers[model][node], store));
    if (hadFocus) root.querySelector("h2").focus({preventScroll: true});
  };
  show();
  store.subscribe((_, changed) => {
    if (changed.includes("node") || changed.includes("model")) show();
  });
}

// Who reads each layer, by number.
export function readersOf(nodes) {
  const readers = nodes.map(() => []);
  for (const node of nodes) for (const input of new Set(node.inputs)) readers[input].push(node.index);
  return readers;
}

function factParts(model, node, readers, store) {
  const badge = node.exact
    ? element("span", {class: "layer-badge layer-good", text: "exact"})
    : element("span", {class: "layer-badge layer-bad", text: "≈ not exact"});
  const what = node.module ? `${node.module}, ${node.op}` : node.op;
  const named = (name) => model.nodes.find((other) => other.name === name);
  return [
    element("h2", {tabindex: -1, text: node.name}),
    element("p", {class: "layer-kindline"}, what, badge),
    ...warnings(node, model),
    element(
      "dl",
      {},
      ...figureRows(model, node).flatMap(([term, value, note]) => [
        element("dt", {text: term}),
        element("dd", {text: value}, note ? element("span", {class: "layer-note", text: note}) : null),
      ]),
    ),
    ...chooserPart(
      "Approximate at",
      node.approximateAt.map((name) => named(name) ?? name),
      store,
      "",
    ),
    ...sentencesPart("Takes for granted", node.assumes),
    ...chooserPart(
      "Reads",
      node.inputs.map((input) => model.nodes[input]),
      store,
      "nothing",
    ),
    ...chooserPart(
      "Read by",
      readers.map((reader) => model.nodes[reader]),
      store,
      model.outputs.includes(node.index) ? "no layer; it is an output of the network" : "no layer",
    ),
    networkPart(model),
  ];
}

function warnings(node, model) {
  const told = [];
  if (node.figures.irregular) told.push(`Not regular: ${node.figures.irregular}.`);
  if (!node.field && node.figures.size.length === 0 && node.op === "input" && node.name !== model.wrt)
    told.push(`Measured against ${model.wrt}, not against this input.`);
  else if (!node.field && node.op !== "input")
    told.push("Its field is not in this file: it was not among the layers asked for.");
  return told.map((text) => element("p", {class: "layer-warning", text}));
}

// [term, value, note] of every figure.
function figureRows(model, node) {
  const {figures} = node;
  const extents = measuredInput(model).positionShape;
  const withUnit = (text) => tellUnit(text, extents.length);
  const axis =
    node.channelAxis === null
      ? "none"
      : `axis ${node.channelAxis}, ${tellNumber(node.shape[node.channelAxis])} channels`;
  return [
    ...(node.module ? [["Class", node.module]] : []),
    ["Operator", node.op],
    ["Output shape", tellShape(node.shape)],
    ["Channel axis", axis],
    [
      "Field size",
      withUnit(tellRanges(figures.sizeRange)),
      extents.length ? `of ${tellShape(extents)}, before the border cuts it` : "",
    ],
    ["Stride", withUnit(tellAxes(figures.stride)), "from one position to the next"],
    ["Padding", withUnit(tellAxes(figures.padding)), "the first field begins so far before the input"],
    [
      "Start",
      withUnit(tellAxes(figures.start)),
      `centre of the first field; 0.5 is the middle of the first ${unitOfAxes(extents.length, 1)}`,
    ],
    ["Clipped", tellShare(figures.clipped), "of the positions: the border cuts their fields"],
    ["Parameters", tellNumber(figures.parameters)],
    ["MACs", tellNumber(figures.macs), "multiply-accumulates"],
    ["Exact", node.exact ? "yes" : "no"],
  ];
}

function sentencesPart(title, sentences) {
  if (!sentences.length) return [];
  return [
    element("h3", {text: title}),
    element("ul", {class: "layer-sentences"}, ...sentences.map((text) => element("li", {text}))),
  ];
}

// Layers as buttons that choose them; names of none are text.
function chooserPart(title, layers, store, nothing) {
  if (!layers.length)
    return nothing ? [element("h3", {text: title}), element("p", {class: "layer-note", text: nothing})] : [];
  const item = (layer) =>
    typeof layer === "string"
      ? element("li", {text: layer})
      : element(
          "li",
          {},
          element("button", {type: "button", text: layer.name, on: {click: () => store.set({node: layer.index})}}),
        );
  const list = element("ul", {class: "layer-choosers", "aria-label": title}, ...layers.slice(0, NEIGHBOURS).map(item));
  const rest = layers.slice(NEIGHBOURS);
  const showRest = () => {
    list.lastChild.remove();
    const items = rest.map(item);
    list.append(...items);
    items[0].querySelector("button")?.focus();
  };
  if (rest.length)
    list.append(
      element(
        "li",
        {},
        element("button", {
          type: "button",
          class: "layer-more",
          text: `${tellNumber(rest.length)} more`,
          on: {click: showRest},
        }),
      ),
    );
  return [element("h3", {text: title}), list];
}

function networkPart({name, wrt, total, notes}) {
  const rows = [
    ["Measured against", wrt],
    ["Layers", tellNumber(total.layers)],
    ["Parameters", tellNumber(total.parameters)],
    ["MACs", tellNumber(total.macs)],
  ];
  return element(
    "details",
    {class: "layer-network"},
    element("summary", {text: `The whole network: ${name}`}),
    element("dl", {}, ...rows.flatMap(([term, text]) => [element("dt", {text: term}), element("dd", {text})])),
    ...sentencesPart("Notes", notes),
  );
}
