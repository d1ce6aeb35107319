// Heat maps of a layer: areas, density, what the border cuts; and of the input, how many positions see each pixel.

import {onDarkness, paletteNow} from "./canvas.js";
import {CLEAR, HEAT_PALETTE} from "./colours.js";
import {element, oncePerFrame, write} from "./dom.js";
import {areas, blind, clippedMap, coverage, densities} from "./engine/maps.js";
import {elementsOf, indexOfCell, movedIndex, planeOf, wholeWindow, windowWith} from "./geometry.js";
import {announce} from "./live.js";
import {cellsShown, slicesShown} from "./looking.js";
import {makePane, paintBase, paintOver, panePart, setPane, showTyped, wideRoom} from "./pane.js";
import {cellOfIndex, groundScene} from "./scenes.js";
import {makeSlices} from "./slices.js";
import {EVERY_SLICE} from "./state.js";
import {curvePoints, heatCells, statisticsOf} from "./values.js";
import {axisWords, countWord, numberWord, placeWord, shapeWord, shareWord, unitWord} from "./words.js";

const LINE_HEIGHT = 180;
const boxSize = (box) => box.reduce((n, [low, high]) => n * (high - low), 1);

// What each tab shows: its title, its map, one value asked exactly, its unit, and over which of the two shapes.
const KINDS = {
  areas: {
    title: "Areas",
    told: "How much of the input each position sees.",
    map: areas,
    over: "positionShape",
    value: (field, at) => field.seenFrom(at).count(),
    unit: (field, count) => unitWord(field.pixelShape.length, count),
  },
  density: {
    title: "Density",
    told: "Which share of its box each position sees: below 1 there are holes.",
    map: densities,
    over: "positionShape",
    unit: () => "of the box",
    scale: {low: 0, high: 1},
    value: (field, at) => {
      const seen = field.seenFrom(at);
      return seen.isEmpty ? 0 : seen.count() / boxSize(seen.box());
    },
  },
  clipped: {
    title: "Clipped",
    told: "Which positions' fields the border cuts.",
    map: clippedMap,
    over: "positionShape",
    value: (field, at) => (field.isClipped(at) ? 1 : 0),
    unit: () => "",
    scale: {low: 0, high: 1},
    isShare: true,
  },
  blind: {
    title: "Coverage",
    told: "How many positions see each pixel; blind spots are seen by none.",
    map: coverage,
    over: "pixelShape",
    value: (field, at) => field.seers(at).count(),
    unit: (_, count) => (count === 1 ? "position" : "positions"),
    blind: true,
  },
};

export function mountMaps(root, doc, store, key) {
  const kind = KINDS[key];
  const heat = {doc, store, key, kind, palette: paletteNow(), map: null, field: null, point: null};
  heat.isInput = kind.over === "pixelShape";
  heat.repaint = oncePerFrame(() => paintHeat(heat));
  heat.told = element("p", {class: "quiet", text: kind.told});
  heat.busy = element("p", {class: "note", role: "status"});
  heat.pane = makePane({
    title: kind.title,
    what: heat.isInput ? "pixel" : "position",
    onPaint() {
      heat.painted = null;
      heat.repaint();
    },
    strip: LINE_HEIGHT,
    roomFor: wideRoom,
    ...heatCallbacks(heat),
  });
  heat.slices = makeSlices(kind.title, (axis, index) =>
    moveTo(
      heat,
      indexNow(heat).map((i, k) => (k === axis ? index : i)),
    ),
  );
  heat.pane.frame.after(heat.slices.root);
  heat.legend = makeLegend();
  heat.facts = element("dl", {class: "pairs heat-told"});
  const side = element("div", {class: "side"}, heat.legend.root, heat.facts);
  heat.beside = element("div", {class: "beside"}, heat.pane.root, side);
  root.append(heat.told, heat.busy, heat.beside);
  store.subscribe((state, changed) => {
    if (changed.includes("theme")) heat.palette = paletteNow();
    heat.repaint();
  });
  onDarkness(() => {
    heat.palette = paletteNow();
    heat.repaint();
  });
  paintHeat(heat);
  return {picture: () => heatPicture(heat)};
}

function nodeNow({doc, store}) {
  const {model, node} = store.get();
  return doc.models[model].nodes[node];
}

function shapeNow(heat) {
  return nodeNow(heat).field?.[heat.kind.over] ?? [];
}

// The index that is marked: the position, or the pixel chosen, else the middle of the slices shown.
function indexNow(heat) {
  const {at, pixel, slice} = heat.store.get();
  if (!heat.isInput) return at ?? [];
  return (
    pixel ??
    shapeNow(heat).map((n, axis) =>
      Number.isInteger(slice[axis]) && slice[axis] !== EVERY_SLICE ? slice[axis] : n >> 1,
    )
  );
}

function paintHeat(heat) {
  const state = heat.store.get();
  if (state.tab !== heat.key) return;
  const {field, name} = nodeNow(heat);
  const shape = shapeNow(heat);
  const nothing = !field
    ? `${name} was not among the layers that were analysed.`
    : elementsOf(shape)
      ? ""
      : `${name} has no ${heat.isInput ? "pixels" : "positions"} here: its shape is ${shapeWord(shape)}.`;
  for (const part of [heat.pane.root, heat.legend.root, heat.facts]) part.hidden = Boolean(nothing);
  if (nothing) {
    heat.busy.hidden = false;
    write(heat.busy, nothing);
    return;
  }
  if (heat.field !== field) {
    heat.point = null;
    askMap(heat, field);
  }
  heat.busy.hidden = Boolean(heat.map);
  showHeatPane(heat, state, shape, name);
  if (!heat.map) return;
  showHeatFacts(heat, field);
  heat.beside.removeAttribute("aria-busy");
}

// Nothing stays of the map before: that another one is worked on is said at once.
function showWorking(heat) {
  heat.beside.setAttribute("aria-busy", "true");
  write(heat.busy, "Working…");
  for (const part of [heat.legend.low, heat.legend.high]) write(part, "");
  heat.legend.scale.setAttribute("aria-label", "Scale");
  heat.legend.marked.hidden = true;
  heat.said = "Working…";
  heat.facts.replaceChildren(
    element("dt", {text: heat.isInput ? "Pixel" : "Position"}),
    element("dd", {text: "working…"}),
  );
}

// Asks the engine for the map; what it answers is shown if it is still wanted then.
async function askMap(heat, field) {
  Object.assign(heat, {field, map: null, statistics: null, blind: null});
  showWorking(heat);
  await new Promise((resume) => setTimeout(resume)); // so that this is on the screen before the work begins
  try {
    if (heat.field !== field) return;
    const map = await heat.kind.map(field);
    if (heat.field !== field) return;
    heat.statistics = statisticsOf(map.values);
    heat.blind = heat.kind.blind ? blind(field) : null;
    if (heat.statistics && heat.blind && !heat.blind.isEmpty) heat.statistics.low = 0; // which samples may miss
    heat.scale = heat.kind.scale ?? heat.statistics ?? {low: 0, high: 1};
    heat.map = map;
    heat.repaint();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    if (heat.field !== field) return;
    heat.said = `This cannot be counted here: ${error.message}.`;
    write(heat.busy, heat.said);
    heat.facts.replaceChildren();
    heat.beside.removeAttribute("aria-busy");
  }
}

function showHeatPane(heat, state, shape, name) {
  const {pane, palette} = heat;
  const words = axisWords(shape.length);
  const index = indexNow(heat);
  const slices = slicesShown(shape, index, null);
  setPane(pane, {
    plane: planeOf(shape),
    shape,
    window: heat.isInput ? state.zoomInput : state.zoomMap,
    names: [words.at(-2) ?? "", words.at(-1) ?? ""],
    label: `${heat.kind.title} of ${name}`,
    extent: shapeWord(shape),
  });
  heat.slices.show(shape, index.slice(0, -2), slices);
  paintGround(heat, shape, slices);
  const [rows, columns] = cellOfIndex(index);
  const marks = [];
  if (!heat.isInput || state.pixel) {
    marks.push({kind: "box", rows, columns, least: 9, colour: palette.halo, width: 4});
    marks.push({kind: "box", rows, columns, least: 9, colour: palette.text, width: 2});
  }
  paintOver(pane, marks);
  showTyped(pane, heat.isInput ? state.pixel : index);
}

// Paints the map where anything of it is another than before: pointing alone moves marks, not the map.
function paintGround(heat, shape, slices) {
  const {pane, palette, map} = heat;
  const {width, height, window} = pane.view;
  const key = [map, heat.field, palette, pane.ratio, width, height, JSON.stringify([window, slices])];
  if (heat.painted?.every((part, k) => part === key[k])) return;
  heat.painted = key;
  paintBase(pane, heatScene(heat, shape, slices), palette);
}

function heatScene(heat, shape, slices) {
  const {pane, palette, map, scale} = heat;
  const scene = groundScene({...pane, palette});
  const cells = map && heatCells(map, shape, slices, pane.view, pane.ratio, scale);
  if (cells) scene.push({kind: "cells", ...cells, colours: HEAT_PALETTE});
  const points = map && shape.length === 1 ? curvePoints(map, shape[0], pane.view, scale) : [];
  if (points.length > 1) {
    scene.push(
      {kind: "path", points, colour: [0, 0, 0], width: 4},
      {kind: "path", points, colour: [255, 255, 255], width: 2},
    );
  }
  if (map && heat.blind && !heat.blind.isEmpty) scene.push(...blindItems(heat, shape, slices));
  return scene;
}

function blindItems({pane, palette, blind: seen}, shape, slices) {
  const look = {seen, axes: shape.map((_, axis) => axis)};
  const cells = cellsShown([look], shape, slices, pane.view, pane.ratio);
  return cells ? [{kind: "cells", ...cells, colours: [CLEAR, [...palette.box.slice(0, 3), 1]]}] : [];
}

// ---- Legend and figures -----------------------------------------------------------------------------------------

function makeLegend() {
  const [low, high] = ["number", "number"].map((kind) => element("span", {class: kind}));
  const scale = element("canvas", {width: 255, height: 1, role: "img"});
  const context = scale.getContext("2d");
  const image = context.createImageData(255, 1);
  for (let k = 0; k < 255; k++) image.data.set([...HEAT_PALETTE[k + 1].slice(0, 3), 255], 4 * k);
  context.putImageData(image, 0, 0);
  const swatch = element("span", {class: "swatch blind", "aria-hidden": "true"});
  const marked = element("p", {}, swatch, "blind: seen by none");
  const line = element("div", {class: "legend"}, low, scale, high);
  return {root: element("div", {}, line, marked), low, high, scale, marked};
}

function showHeatFacts(heat, field) {
  const {kind, statistics, scale, map, legend} = heat;
  write(legend.low, kind.isShare ? "whole" : numberWord(scale.low));
  write(legend.high, kind.isShare ? "cut by the border" : `${numberWord(scale.high)} ${kind.unit(field, scale.high)}`);
  legend.scale.setAttribute("aria-label", `Scale from ${legend.low.textContent} to ${legend.high.textContent}`);
  legend.marked.hidden = !heat.blind || heat.blind.isEmpty;
  const index = heat.point ?? (heat.isInput ? heat.store.get().pixel : (heat.store.get().hover ?? heat.store.get().at));
  const pairs = [[heat.isInput ? "Pixel" : "Position", index ? pointWord(heat, field, index) : "point at one"]];
  pairs.push(...statisticPairs(heat, field));
  if (heat.blind) {
    const [count, all] = [heat.blind.count(), elementsOf(field.pixelShape)];
    pairs.push([
      "Blind",
      count
        ? `${numberWord(count)} of ${numberWord(all)} ${unitWord(field.pixelShape.length, all)}, ${shareWord(count, all)}`
        : "none",
    ]);
  }
  if (isSampled(heat))
    pairs.push([
      "Sampled",
      `${numberWord(map.values.length)} of ${numberWord(elementsOf(shapeNow(heat)))}, one in each ` +
        `${shapeWord(map.step)}; the value under the pointer is exact`,
    ]);
  heat.said = pairs.map((pair) => pair.join(": ")).join(". ");
  heat.facts.replaceChildren(...pairs.flatMap(([name, text]) => [element("dt", {text: name}), element("dd", {text})]));
}

function isSampled(heat) {
  return heat.map.values.length < elementsOf(shapeNow(heat));
}

// What is said of all values, or, where these are too many, of samples.
function statisticPairs(heat, field) {
  const {kind, map, statistics} = heat;
  if (!statistics) return [];
  const [one, of] = isSampled(heat) ? ["sample", ", of samples"] : ["position", ""];
  const {low, high, middle, mean, unknown} = statistics;
  const n = map.values.length;
  const pairs = kind.isShare
    ? [["Cut", `${numberWord(Math.round(mean * n))} of ${countWord(n, one)}, ${shareWord(mean, 1)}`]]
    : [
        ["From, to", `${numberWord(low)} to ${numberWord(high)} ${kind.unit(field, high)}${of}`],
        ["Middle, mean", `${numberWord(middle)}, ${numberWord(mean)} ${kind.unit(field, mean)}${of}`],
      ];
  return unknown ? [...pairs, ["Unknown", `${numberWord(unknown)}${of}: too large to count exactly`]] : pairs;
}

function pointWord(heat, field, index) {
  const value = heat.kind.value(field, index);
  const told = heat.kind.isShare
    ? value
      ? "cut by the border"
      : "whole"
    : `${numberWord(value)} ${heat.kind.unit(field, value)}`;
  return `${placeWord(index)}: ${told}`;
}

// ---- Where one points -------------------------------------------------------------------------------------------

function moveTo(heat, index) {
  const cell = [index.at(-2) ?? 0, index.at(-1) ?? 0];
  const zoom = heat.isInput ? "zoomInput" : "zoomMap";
  const window = heat.store.get()[zoom];
  heat.point = null;
  const patch = {[zoom]: window && windowWith(window, cell, heat.pane.plane), hover: null};
  if (!heat.isInput) heat.store.set({...patch, at: index});
  else
    heat.store.set({
      ...patch,
      pixel: index,
      slice: heat.store.get().slice.map((shown, axis) => (shown === null ? null : index[axis])),
    });
  announce(pointWord(heat, nodeNow(heat).field, index));
}

function heatCallbacks(heat) {
  const whole = (cell) => indexOfCell(cell, indexNow(heat), shapeNow(heat));
  return {
    marked: () => [indexNow(heat).at(-2) ?? 0, indexNow(heat).at(-1) ?? 0],
    onPoint(cell) {
      heat.point = cell && whole(cell);
      if (!heat.isInput) heat.store.set({hover: heat.point});
      heat.repaint();
    },
    onChoose: (cell) => (cell ? moveTo(heat, whole(cell)) : announce(heat.said ?? "", true)),
    onMove: (step) => moveTo(heat, movedIndex(indexNow(heat), step, shapeNow(heat))),
    onTyped: (index) => moveTo(heat, index),
    onZoom: (window) => heat.store.set({[heat.isInput ? "zoomInput" : "zoomMap"]: window}),
    onKey: (event) => heatKey(heat, event),
  };
}

function heatKey(heat, event) {
  const by = {PageUp: -1, PageDown: 1}[event.key];
  if (!by) return false;
  const shape = shapeNow(heat);
  const index = [...indexNow(heat)];
  if (shape.length < 3) moveTo(heat, movedIndex(index, [10 * by, 10 * by], shape));
  else {
    const axis = shape.length - 3;
    index[axis] = Math.max(0, Math.min(index[axis] + by, shape[axis] - 1));
    moveTo(heat, index);
  }
  return true;
}

// The picture to download, with its scale below.
function heatPicture(heat) {
  if (!heat.map) return null;
  const part = panePart(heat.pane, 0, 44);
  const {left, top, width, height} = part.view;
  const below = top + height + 46;
  const size = {left, top: below, width: Math.min(240, width), height: 12};
  const notes = [
    {x: left, y: below + 28, text: heat.legend.low.textContent, style: {}},
    {x: left + size.width, y: below + 28, text: heat.legend.high.textContent, style: {"text-anchor": "end"}},
  ];
  return {
    title: heat.kind.title,
    parts: [part, scalePart(size)],
    notes,
    caption: heat.said,
    width: Math.max(360, left + width + 20),
    height: below + 60,
  };
}

// The scale from low to high as a part of a picture.
function scalePart(size) {
  const strip = wholeWindow([1, 255]);
  const bytes = Uint8Array.from({length: 255}, (_, k) => k + 1);
  const scene = [{kind: "cells", window: strip, size: [1, 255], bytes, colours: HEAT_PALETTE}];
  return {view: {...size, window: strip}, plane: [1, 1], names: ["", ""], scene};
}
