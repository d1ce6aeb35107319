// The stage: the feature map beside the input. Pointing at a position draws what it sees; choosing a pixel draws who
// sees it.

import {imageOf, onDarkness, paletteNow} from "./canvas.js";
import {makeControls} from "./controls.js";
import {element, oncePerFrame} from "./dom.js";
import {elementsOf, planeOf} from "./geometry.js";
import {centreFrom, pixelBox} from "./looking.js";
import {looksNow, nodeShown, slicesNow} from "./looks.js";
import {announce} from "./live.js";
import {inputCallbacks, mapCallbacks} from "./moves.js";
import {makePane, paintBase, paintOver, panePart, setPane, showTyped} from "./pane.js";
import {makePins} from "./pins.js";
import {makeReadout} from "./readout.js";
import {groundScene, inputScene, mapScene} from "./scenes.js";
import {makeSlices} from "./slices.js";
import {axisWords, shapeWord, unitWord} from "./words.js";

const SIDE_BY_SIDE = 540;
const BASE_KEYS = ["model", "node", "theme", "zoomMap", "zoomInput", "slice", "tab", "at"];
const QUIET_KEYS = ["hover", "query", "list", "theme"];

export function mountStage(root, doc, store) {
  const stage = {doc, store, cursor: null, baseIsOld: true, asked: false, palette: paletteNow()};
  stage.repaint = oncePerFrame(() => paintStage(stage));
  stage.renew = () => {
    stage.baseIsOld = true;
    stage.repaint();
  };
  makeParts(stage, root);
  root.append(stage.controls.root, stage.absent, stage.body);
  store.subscribe((state, changed) => {
    if (changed.includes("theme")) stage.palette = paletteNow();
    if (changed.includes("node") || changed.includes("model")) stage.cursor = null;
    if (BASE_KEYS.some((key) => changed.includes(key))) stage.baseIsOld = true;
    if (changed.some((key) => !QUIET_KEYS.includes(key))) stage.asked = true;
    stage.repaint();
  });
  if (doc.image) imageOf(doc.image.uri, stage.renew);
  onDarkness(() => {
    stage.palette = paletteNow();
    stage.renew();
  });
  paintStage(stage);
  return {picture: () => stagePicture(stage)};
}

function makeParts(stage, root) {
  const {doc, store} = stage;
  const roomFor = (frame) => roomOf(root, frame, stage.stacked);
  stage.map = makePane({title: "Feature map", what: "position", roomFor, onPaint: stage.renew, ...mapCallbacks(stage)});
  stage.input = makePane({title: "Input", what: "pixel", roomFor, onPaint: stage.renew, ...inputCallbacks(stage)});
  stage.note = element("p", {class: "note", hidden: true});
  stage.absent = element("p", {class: "note", hidden: true});
  stage.controls = makeControls(store);
  stage.pins = makePins(doc, store);
  stage.readout = makeReadout();
  const put = (key) => (axis, index) => store.set({[key]: store.get()[key].map((i, k) => (k === axis ? index : i))});
  stage.mapSlices = makeSlices("Feature map", put("at"));
  stage.inputSlices = makeSlices("Input", put("slice"), {follows: true});
  stage.map.head.after(stage.note);
  stage.map.frame.after(stage.mapSlices.root);
  stage.input.frame.after(stage.inputSlices.root);
  stage.panes = element("div", {class: "panes"}, stage.map.root, stage.input.root);
  stage.body = element("div", {class: "stage-body"}, stage.panes, stage.pins.root, stage.readout.root);
}

// Two maps share a wide stage, lines and narrow stages have them below each other.
function roomOf(root, frame, stacked) {
  const beside = root.clientWidth >= SIDE_BY_SIDE && !stacked;
  const width = Math.max(120, beside ? (root.clientWidth - 16) / 2 : root.clientWidth);
  const height = Math.max(220, Math.min(globalThis.innerHeight * (beside ? 0.6 : 0.5), 900));
  return {width: Math.min(width, frame.clientWidth || width), height};
}

function paintStage(stage) {
  const now = {state: stage.store.get(), node: nodeShown(stage)};
  if (now.state.tab !== "stage") return;
  stage.controls.show(now.state, now.node);
  stage.absent.hidden = Boolean(now.node.field);
  stage.body.hidden = !now.node.field;
  if (!now.node.field) {
    stage.absent.textContent = `${now.node.name} was not among the layers that were analysed, so it has no field here.`;
    return;
  }
  Object.assign(now, looksNow(stage));
  const slices = slicesNow(now);
  if (stage.baseIsOld) paintGrounds(stage, now, slices);
  paintMasks(stage, now, slices);
  stage.pins.show(now.state);
  stage.readout.show(now);
  if (stage.asked) announce(stage.readout.sentence());
  stage.asked = false;
}

function paintGrounds(stage, {state, node, at}, slices) {
  const {positionShape, pixelShape} = node.field;
  const {palette, map, input} = stage;
  const here = positionShape.length > 0;
  for (const part of [map.frame, map.zoom.out.parentElement, map.typed]) part.hidden = !here;
  stage.note.hidden = here;
  stage.stacked = positionShape.length === 1 && pixelShape.length === 1;
  stage.panes.classList.toggle("stacked", stage.stacked);
  if (!here) stage.note.textContent = withoutPositions(node);
  setPane(map, {
    plane: planeOf(positionShape),
    shape: positionShape,
    window: state.zoomMap,
    names: paneNames(positionShape),
    label: `Feature map of ${node.name}`,
    extent: here ? `${shapeWord(positionShape)} position${elementsOf(positionShape) === 1 ? "" : "s"}` : "no positions",
  });
  setPane(input, {
    plane: planeOf(pixelShape),
    shape: pixelShape,
    window: state.zoomInput,
    names: paneNames(pixelShape),
    label: `Input ${stage.doc.models[state.model].wrt}`,
    extent: pixelShape.length
      ? `${shapeWord(pixelShape)} ${unitWord(pixelShape.length, elementsOf(pixelShape))}`
      : "no axes beside channels",
  });
  const image = imageUnder(stage, pixelShape);
  if (here) paintBase(map, groundScene({...map, palette}), palette);
  paintBase(input, groundScene({...input, palette, image}), palette);
  stage.mapSlices.show(positionShape, (at ?? []).slice(0, -2), slices.map);
  stage.baseIsOld = false;
}

// The image lies under the pixels of a plane.
function imageUnder({doc}, pixelShape) {
  return pixelShape.length === 2 ? doc.image : null;
}

function withoutPositions(node) {
  const n = elementsOf(node.shape);
  return (
    `No positions: ${node.name} has ${n === 1 ? "one output" : `${shapeWord(node.shape)} outputs`} and no map, as a ` +
    "classifier has. What any of them sees of the whole input is drawn; choose “one neuron” for a single one."
  );
}

function paneNames(shape) {
  const words = axisWords(shape.length);
  return [words.at(-2) ?? "", words.at(-1) ?? ""];
}

function paintMasks(stage, {state, node, at, mine, other, pin, pinned, fits, seers}, slices) {
  const {palette, map, input} = stage;
  const {positionShape, pixelShape} = node.field;
  const pins = state.pins
    .map((pin, k) => ({...pin, fill: k ? null : palette.other}))
    .filter((pin) => pin.model === state.model && pin.node === state.node);
  if (positionShape.length) {
    const scene = mapScene({
      ...map,
      palette,
      shape: positionShape,
      slices: slices.map,
      seers,
      pins,
      at: state.at,
      hover: state.hover,
    });
    paintOver(map, scene);
  }
  const looks = [mine, other].filter(Boolean);
  const centres = [at && centreFrom(node.field, at), fits ? centreFrom(pinned.field, pin.at) : null];
  const {pixel} = state;
  const image = imageUnder(stage, pixelShape);
  const show = {shape: pixelShape, slices: slices.input, looks, centres, pixel, cursor: stage.cursor, image};
  paintOver(input, inputScene({...input, palette, ...show}));
  stage.inputSlices.show(pixelShape, state.slice, slices.input, mine && pixelBox(mine));
  showTyped(map, at);
  showTyped(input, pixel ?? stage.cursor);
  stage.readout.cursor = stage.cursor;
}

// ---- The picture to download ------------------------------------------------------------------------------------

function stagePicture(stage) {
  const {node} = looksNow(stage);
  const parts = [];
  const notes = [];
  let x = 0;
  for (const pane of node.field.positionShape.length ? [stage.map, stage.input] : [stage.input]) {
    const part = panePart(pane, x, 58);
    parts.push(part);
    notes.push({x: part.view.left, y: 54, text: `${pane.told.title}, ${pane.shape.textContent}`, style: {}});
    x += parseFloat(pane.plot.style.width) + 16;
  }
  const height = Math.max(...parts.map(({view}) => view.top + view.height)) + 54;
  const caption = stage.readout.sentence();
  return {title: `${node.name}: ${caption}`, parts, notes, width: Math.ceil(x), height, caption};
}
