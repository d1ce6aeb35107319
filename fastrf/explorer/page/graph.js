// The graph of layers: modules fold, the drawing is panned and zoomed, a click or Enter chooses a layer.

import {setAttributes} from "./attributes.js";
import {BRACKET, bracketsPart, faceOf, graphPart, isFar, spanLegend} from "./boxes.js";
import {element, oncePerFrame, svgElement, write} from "./dom.js";
import {foldedGraph, modulesAround, modulesOf, openBrackets, startFolded} from "./folding.js";
import {BOX, boxAt, boxBeside, layoutGraph} from "./layout.js";
import {followPointers} from "./pointers.js";
import {setFamily} from "./rulers.js";
import {measuredInput, tellLayer} from "./telling.js";
import {clampedView, fittedView, openingView, revealingView, shownPart, zoomedAt} from "./viewport.js";

const HINT = "Arrows walk along edges, Enter chooses, Space folds or unfolds, + and − zoom, 0 fits.";

// Fills an empty element with the graph; choosing a box sets the store's node.
export function mountGraph(root, doc, store) {
  const graph = new LayerGraph(root, doc, store);
  graph.showModel();
  store.subscribe((state, changed) => {
    if (changed.includes("model")) graph.showModel();
    else if (changed.includes("node")) graph.showChosen();
  });
}

class LayerGraph {
  constructor(root, doc, store) {
    Object.assign(this, {doc, store, foldedBy: new Map(), view: null, drawn: null, cursor: 0, pressed: []});
    this.window = {left: 0, width: 0, height: 0};
    this.stage = svgElement("g");
    this.edge = svgElement("rect", {class: "layer-gutter", x: 0, y: 0});
    this.gutter = svgElement("g");
    this.svg = svgElement("svg", {"aria-hidden": "true", focusable: "false"}, this.stage, this.edge, this.gutter);
    const names = {"aria-label": "Graph of layers", "aria-describedby": "layer-graph-hint"};
    this.pane = element("div", {class: "layer-pane", tabindex: 0, role: "application", ...names}, this.svg);
    this.told = element("p", {class: "layer-told", role: "status"});
    this.crumbs = element("div", {class: "layer-crumbs", role: "group", "aria-label": "Modules around the layer"});
    root.classList.add("layer-graph");
    root.append(
      this.toolbar(),
      this.crumbs,
      this.pane,
      this.told,
      spanLegend(),
      element("p", {id: "layer-graph-hint", class: "layer-hint", text: HINT}),
    );
    this.drawSoon = oncePerFrame(() => this.draw());
    this.pane.addEventListener("keydown", (event) => this.onKey(event));
    new ResizeObserver(() => this.resize()).observe(this.pane);
    followPointers(this.pane, this);
  }

  toolbar() {
    const button = (text, label, click) =>
      element("button", {type: "button", "aria-label": label, title: label, text, on: {click}});
    return element(
      "div",
      {class: "layer-tools", role: "group", "aria-label": "Graph"},
      button("+", "Zoom in", () => this.zoom(1.4)),
      button("−", "Zoom out", () => this.zoom(1 / 1.4)),
      button("Fit", "Fit the graph", () => this.fit()),
      button("Fold all", "Fold all modules", () => this.foldAll(true)),
      button("Unfold all", "Unfold all modules", () => this.foldAll(false)),
      button("Show chosen", "Show chosen layer", () => this.unfoldChosen()),
    );
  }

  get folded() {
    return this.foldedBy.get(this.store.get().model);
  }

  // The layer under the cursor: of a folded module the chosen one, where it is within, otherwise its last.
  get current() {
    const {nodes} = this.boxes[this.cursor];
    const {node} = this.store.get();
    return nodes.includes(node) ? node : nodes.at(-1);
  }

  // The other model, or the first: its own folds, the whole drawing anew.
  showModel() {
    const {model, node} = this.store.get();
    this.nodes = this.doc.models[model].nodes;
    this.extents = measuredInput(this.doc.models[model]).positionShape;
    this.modules = modulesOf(this.nodes);
    if (!this.foldedBy.has(model)) this.foldedBy.set(model, startFolded(this.nodes, this.modules));
    this.arrange();
    this.cursor = this.boxOf[node];
    this.view = null;
    this.tell(this.cursor);
    this.showCrumbs();
    this.resize();
  }

  // Boxes and their places, for what is folded.
  arrange() {
    Object.assign(this, foldedGraph(this.nodes, this.folded));
    this.layout = layoutGraph(this.boxes.length, this.edges);
    this.brackets = openBrackets(this.modules, this.folded, this.boxOf, this.nodes, this.layout);
    this.drawn = null;
    this.bound();
  }

  // The part of the window that the drawing has: brackets take a quarter of it at most, inner ones are left out first.
  bound() {
    const columns = this.brackets.reduce((most, {column}) => Math.max(most, column + 1), 0);
    const {width} = this.window;
    this.window.left = Math.min(columns, Math.max(1, Math.floor(width / 4 / BRACKET))) * BRACKET;
  }

  resize() {
    const [width, height] = [this.pane.clientWidth, this.pane.clientHeight];
    if (!width || !height) return;
    Object.assign(this.window, {width, height});
    this.bound();
    setAttributes(this.svg, {width, height, viewBox: `0 0 ${width} ${height}`});
    this.view ??= openingView(this.layout, this.window, [this.layout.x[this.cursor], this.layout.y[this.cursor]]);
    this.drawn = null;
    this.look(this.view);
  }

  // Looks at the drawing otherwise; drawn before the next frame.
  look(view) {
    this.view = clampedView(view, this.layout, this.window);
    this.drawSoon();
    return this.view;
  }

  zoom(factor, at = [(this.window.left + this.window.width) / 2, this.window.height / 2]) {
    if (!this.view) return;
    const least = Math.min(0.1, fittedView(this.layout, this.window).scale);
    this.look(zoomedAt(this.view, factor, at, least));
  }

  fit() {
    if (this.view) this.look(fittedView(this.layout, this.window));
  }

  // Whether there was room to pan.
  pan(dx, dy) {
    if (!this.view) return false;
    const {x, y} = this.view;
    const now = this.look({...this.view, x: x + dx, y: y + dy});
    return now.x !== x || now.y !== y;
  }

  // Draws anew where the window leaves what is drawn; otherwise what is drawn is moved.
  draw() {
    if (!this.view) return;
    const {view, window, layout} = this;
    const part = shownPart(view, window, 0);
    const isDrawn =
      this.drawn &&
      this.drawn.far === isFar(view.scale) &&
      part.every((at, k) => (k < 2 ? at >= this.drawn.part[k] : at <= this.drawn.part[k]));
    if (!isDrawn) {
      this.drawn = {far: isFar(view.scale), part: shownPart(view, window, 0.6)};
      const marks = {chosen: this.boxOf[this.store.get().node], cursor: this.cursor};
      setFamily(getComputedStyle(this.pane).fontFamily);
      this.stage.replaceChildren(...graphPart({...this, layout}, this.drawn.part, view.scale, marks));
    }
    setAttributes(this.stage, {transform: `translate(${view.x} ${view.y}) scale(${view.scale})`});
    setAttributes(this.edge, {width: window.left, height: window.height});
    this.gutter.replaceChildren(...bracketsPart(this.brackets, view, window));
  }

  showChosen() {
    this.moveTo(this.boxOf[this.store.get().node]);
  }

  moveTo(box) {
    this.cursor = box;
    this.tell(box);
    this.showCrumbs();
    this.drawn = null;
    if (this.view) this.look(revealingView(this.view, this.frameOf(box), this.window));
  }

  frameOf(box) {
    return {x: this.layout.x[box] - BOX.width / 2, y: this.layout.y[box], width: BOX.width, height: BOX.height};
  }

  tell(box) {
    const {node, title, kind} = faceOf(this, box);
    const isModule = this.boxes[box].module !== null;
    write(
      this.told,
      isModule ? `${title}, module of ${kind}, folded; its output: ${tellLayer(node)}` : tellLayer(node),
    );
  }

  // The modules around the cursor, a button each, which folds or unfolds.
  showCrumbs() {
    const {module, nodes: members} = this.boxes[this.cursor];
    const around = modulesAround(this.nodes[members.at(-1)], this.modules);
    const shown = around.slice(0, module === null ? around.length : around.indexOf(module) + 1);
    const crumbs = shown.map((key, at) => this.crumb(key, at ? this.modules.get(shown[at - 1]).label.length + 1 : 0));
    const focused = this.crumbs.contains(document.activeElement) ? document.activeElement.dataset.module : null;
    this.crumbs.replaceChildren(...crumbs);
    if (focused) crumbs.find((crumb) => crumb.dataset.module === focused)?.focus();
  }

  // A module's button; of its name only what the buttons before it do not say.
  crumb(key, from) {
    const {label} = this.modules.get(key);
    const names = {"aria-label": label, title: label, "aria-expanded": String(!this.folded.has(key))};
    const click = () => this.toggle(key);
    return element("button", {type: "button", ...names, "data-module": key, text: label.slice(from), on: {click}});
  }

  // Folds or unfolds a module; what was under the cursor stays where it is in the window.
  toggle(key) {
    const folded = this.folded;
    if (folded.has(key)) folded.delete(key);
    else folded.add(key);
    const within = (node) => modulesAround(node, this.modules).includes(key);
    const current = this.nodes[this.current];
    const {node} = this.store.get();
    this.rearrange(within(current) ? current.index : within(this.nodes[node]) ? node : this.modules.get(key).first);
  }

  foldAll(isFolded) {
    this.foldedBy.set(this.store.get().model, new Set(isFolded ? this.modules.keys() : []));
    this.rearrange(this.current);
  }

  unfoldChosen() {
    const {node} = this.store.get();
    for (const key of modulesAround(this.nodes[node], this.modules)) this.folded.delete(key);
    this.rearrange(node);
  }

  rearrange(node) {
    const [before, at] = [this.layout, this.boxOf[node]];
    this.arrange();
    const now = this.boxOf[node];
    if (this.view) {
      this.view = {
        ...this.view,
        x: this.view.x + (before.x[at] - this.layout.x[now]) * this.view.scale,
        y: this.view.y + (before.y[at] - this.layout.y[now]) * this.view.scale,
      };
    }
    this.moveTo(now);
  }

  choose(box) {
    this.moveTo(box);
    this.store.set({node: this.boxes[box].nodes.at(-1)});
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const last = this.boxes.length - 1;
    const acts = {
      Enter: () => this.choose(this.cursor),
      " ": () => this.foldHere(),
      "+": () => this.zoom(1.4),
      "=": () => this.zoom(1.4),
      "-": () => this.zoom(1 / 1.4),
      0: () => this.fit(),
      Home: () => this.moveTo(0),
      End: () => this.moveTo(last),
    };
    if (event.key.startsWith("Arrow")) this.moveTo(boxBeside(this.layout, this.cursor, event.key));
    else if (acts[event.key]) acts[event.key]();
    else return;
    event.preventDefault();
  }

  // Unfolds the module under the cursor, or folds the innermost one around the layer.
  foldHere() {
    const box = this.boxes[this.cursor];
    const key = box.module ?? modulesAround(this.nodes[box.nodes[0]], this.modules).at(-1);
    if (key !== undefined) this.toggle(key);
  }

  // The box at a point of the window, or -1, and whether the point is on its mark that unfolds.
  boxUnder([x, y]) {
    if (!this.view || x < this.window.left) return {box: -1, isMark: false};
    const [px, py] = [(x - this.view.x) / this.view.scale, (y - this.view.y) / this.view.scale];
    const box = boxAt(this.layout, px, py);
    return {box, isMark: box >= 0 && this.boxes[box].module !== null && px - this.layout.x[box] + BOX.width / 2 < 30};
  }

  press(point, target) {
    const bracket = target.closest?.("[data-module]");
    if (bracket) return this.toggle(bracket.dataset.module);
    const {box, isMark} = this.boxUnder(point);
    this.pressed = [this.pressed.at(-1), this.boxes[box]?.key];
    if (box < 0) return undefined;
    return isMark ? this.toggle(this.boxes[box].module) : this.choose(box);
  }

  pressTwice(point) {
    const {box} = this.boxUnder(point);
    if (box < 0 || this.pressed[0] !== this.pressed[1]) return;
    if (this.boxes[box].module !== null) this.toggle(this.boxes[box].module);
  }

  hover(point) {
    const {box} = this.boxUnder(point);
    this.pane.classList.toggle("layer-over", box >= 0);
    this.tell(box >= 0 ? box : this.cursor);
  }
}
