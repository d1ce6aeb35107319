// How the graph of layers looks: boxes, edges and, at the left, brackets of open modules. Called by the graph.

import {element, svgElement} from "./dom.js";
import {BOX, edgePath, ranksBetween} from "./layout.js";
import {shortened, textWidth} from "./rulers.js";
import {spanClass, tellAxes, tellKind} from "./telling.js";

export const BRACKET = 20;
const FAR = 0.4; // below this scale no text is legible, and colours alone are drawn
const SMALL = "11.5px";
const SPANS = ["0", "1", "2", "3", "4", "5", "unbounded", "unknown"];
const SPAN_WORDS = [
  "under 1/16",
  "1/16 and more",
  "1/8 and more",
  "1/4 and more",
  "1/2 and more",
  "all of it",
  "unbounded",
  "unknown",
];

// Whether texts are left out.
export function isFar(scale) {
  return scale < FAR;
}

// What colours stand for.
export function spanLegend() {
  const item = (name, text) =>
    element("li", {}, element("span", {class: `layer-swatch span-${name}`, "aria-hidden": "true"}), text);
  return element(
    "ul",
    {class: "layer-legend", "aria-label": "Colours: the share of the input that a field spans"},
    element("li", {text: "Field, of the input:"}),
    ...SPANS.map((name, at) => item(name, SPAN_WORDS[at])),
    item("inexact", "not exact (≈)"),
  );
}

// Everything of a graph {layout, boxes, nodes, extents} in a part of the drawing, with some boxes marked.
export function graphPart(graph, part, scale, marks) {
  const [left, top, right, bottom] = part;
  const [first, last] = ranksBetween(graph.layout, top, bottom);
  const shown = [];
  for (let rank = first; rank <= last; rank++) {
    for (const box of graph.layout.rows[rank]) {
      const x = graph.layout.x[box];
      if (x + BOX.width / 2 >= left && x - BOX.width / 2 <= right) shown.push(box);
    }
  }
  const boxes = isFar(scale) ? farBoxes(graph, shown, marks) : shown.map((box) => nearBox(graph, box, marks));
  return [...edgesPart(graph, first, last, marks), ...boxes];
}

// Brackets of the modules that stand open, in the window's own units: a click on one folds it.
export function bracketsPart(brackets, view, window) {
  const shown = brackets.filter(
    ({top, bottom, column}) =>
      (column + 1) * BRACKET <= window.left &&
      view.y + bottom * view.scale > 0 &&
      view.y + top * view.scale < window.height &&
      (bottom - top) * view.scale > 16,
  );
  return shown.map((bracket) => drawnBracket(bracket, view, window));
}

function drawnBracket({module, top, bottom, column}, view, window) {
  const x = column * BRACKET + BRACKET / 2;
  const [y0, y1] = [Math.max(2, view.y + top * view.scale), Math.min(window.height - 2, view.y + bottom * view.scale)];
  const room = y1 - y0 - 24;
  const label = room < 24 ? "" : shortened(module.label, room, "11px");
  const text = svgElement("text", {
    transform: `translate(${x + 4} ${(y0 + y1) / 2 + 6}) rotate(-90)`,
    "text-anchor": "middle",
    text: label,
  });
  const area = svgElement("rect", {
    x: column * BRACKET,
    y: y0,
    width: BRACKET,
    height: Math.max(0, y1 - y0),
    class: "layer-bracket-area",
  });
  const mark = svgElement("path", {d: `M${x - 4} ${y0 + 5}h8l-4 6z`, class: "layer-bracket-mark"});
  const title = svgElement("title", {text: `Fold ${module.label}, ${module.count} layers`});
  return svgElement("g", {class: "layer-bracket", "data-module": module.key}, title, area, mark, text);
}

function edgesPart({layout}, first, last, marks) {
  const inView = ({from, to}) => layout.ranks[from] <= last && layout.ranks[to] >= first;
  const [plain, chosen] = [[], []];
  for (const edge of layout.edges) {
    if (!inView(edge)) continue;
    (edge.from === marks.chosen || edge.to === marks.chosen ? chosen : plain).push(edgePath(layout, edge));
  }
  return [
    svgElement("path", {class: "layer-edges", d: plain.join("")}),
    svgElement("path", {class: "layer-edges layer-edges-chosen", d: chosen.join("")}),
  ];
}

// Boxes by colour, a path each.
function farBoxes(graph, shown, marks) {
  const paths = new Map();
  for (const box of shown) {
    const {node, exact} = faceOf(graph, box);
    const name = exact ? spanClass(node, graph.extents) : "inexact";
    paths.set(name, `${paths.get(name) ?? ""}${rectPath(graph.layout, box, 0)}`);
  }
  const around = shown.filter((box) => box === marks.chosen || box === marks.cursor);
  return [
    ...[...paths].map(([name, d]) => svgElement("path", {class: `layer-far span-${name}`, d})),
    ...around.map((box) =>
      svgElement("path", {class: `layer-frame ${markOf(box, marks)}`, d: rectPath(graph.layout, box, 6)}),
    ),
  ];
}

function nearBox(graph, box, marks) {
  const {layout, boxes} = graph;
  const {node, exact, title, kind} = faceOf(graph, box);
  const isFolded = boxes[box].module !== null;
  const told = node.figures.size.length ? `${exact ? "" : "≈ "}${tellAxes(node.figures.size)}` : "";
  const size = shortened(told, 100, SMALL, false);
  const room = BOX.width - 32 - textWidth(size, SMALL);
  const name = `layer-box span-${spanClass(node, graph.extents)} ${exact ? "" : "layer-inexact"} ${markOf(box, marks)}`;
  return svgElement(
    "g",
    {class: name, "data-box": box, transform: `translate(${layout.x[box] - BOX.width / 2} ${layout.y[box]})`},
    isFolded
      ? svgElement("rect", {class: "layer-behind", x: 4, y: 4, width: BOX.width, height: BOX.height, rx: 6})
      : null,
    svgElement("rect", {class: "layer-face", width: BOX.width, height: BOX.height, rx: 6}),
    svgElement("path", {
      class: "layer-stripe",
      d: `M6 .5h2v${BOX.height - 1}h-2a5.5 5.5 0 0 1-5.5-5.5v-${BOX.height - 12}a5.5 5.5 0 0 1 5.5-5.5z`,
    }),
    isFolded ? svgElement("path", {class: "layer-unfold", d: "M16 11l7 5-7 5z"}) : null,
    svgElement("text", {
      class: "box-title",
      x: isFolded ? 28 : 15,
      y: 19,
      text: shortened(title, BOX.width - (isFolded ? 36 : 23), "600 12.5px"),
    }),
    svgElement("text", {class: "box-detail", x: 15, y: 35, text: shortened(kind, room, SMALL, false)}),
    svgElement("text", {class: "box-size", x: BOX.width - 9, y: 35, "text-anchor": "end", text: size}),
  );
}

// What a box shows: of a folded module the figures of its last layer.
export function faceOf({boxes, nodes, modules}, box) {
  const {module, part, parts, nodes: members} = boxes[box];
  const node = nodes[members.at(-1)];
  if (module === null) return {node, exact: node.exact, title: node.name, kind: tellKind(node)};
  const title = `${modules.get(module).label}${parts > 1 ? ` (${part} of ${parts})` : ""}`;
  const kind = members.length === 1 ? "1 layer" : `${members.length.toLocaleString("en-US")} layers`;
  return {node, exact: members.every((member) => nodes[member].exact), title, kind};
}

function markOf(box, marks) {
  return `${box === marks.chosen ? "layer-chosen" : ""} ${box === marks.cursor ? "layer-cursor" : ""}`;
}

function rectPath(layout, box, around) {
  const [width, height] = [BOX.width + 2 * around, BOX.height + 2 * around];
  return `M${layout.x[box] - width / 2} ${layout.y[box] - around}h${width}v${height}h-${width}z`;
}
