// The matrix: positions by input, who reads whom. For steps and tokens at a glance, for maps along any pair of axes.

import {onDarkness, paletteNow} from "./canvas.js";
import {CLEAR} from "./colours.js";
import {element, oncePerFrame, write} from "./dom.js";
import {lookahead, lookback} from "./engine/context.js";
import {elementsOf, windowWith} from "./geometry.js";
import {announce} from "./live.js";
import {freshLook} from "./looking.js";
import {makePane, paintBase, paintOver, panePart, setPane, showTyped, wideRoom} from "./pane.js";
import {ownStepEnd, matrixCells} from "./rasters.js";
import {groundScene} from "./scenes.js";
import {axisWords, countWord, numberWord, placeWord, runsWord, shapeWord, unitWord} from "./words.js";

const BASE = ["model", "node", "theme", "zoomMatrix", "neuron", "inputChannel", "axes", "tab"];

export function mountMatrix(root, doc, store) {
  const matrix = {doc, store, palette: paletteNow(), column: null, isOld: true};
  const repaint = oncePerFrame(() => paintMatrix(matrix));
  matrix.repaint = repaint;
  const renew = () => {
    matrix.isOld = true;
    repaint();
  };
  root.append(...matrixParts(matrix, renew));
  store.subscribe((state, changed) => {
    if (changed.includes("theme")) matrix.palette = paletteNow();
    const elsewhere = changed.includes("at") && (shapeOf(matrix)?.positionShape.length ?? 0) > 1;
    if (elsewhere || BASE.some((key) => changed.includes(key))) matrix.isOld = true;
    if (changed.includes("node")) matrix.column = null;
    repaint();
  });
  onDarkness(() => {
    matrix.palette = paletteNow();
    renew();
  });
  paintMatrix(matrix);
  return {picture: () => matrixPicture(matrix)};
}

function matrixParts(matrix, renew) {
  const told = element("p", {
    class: "quiet",
    text: "Each row is a position, each column a place of the input: filled where the position reads it.",
  });
  matrix.absent = element("p", {class: "note", hidden: true});
  matrix.choices = [0, 1].map((which) => axisChoice(matrix, which));
  matrix.tools = element("div", {class: "tools"}, ...matrix.choices.map((choice) => choice.root));
  matrix.pane = makePane({
    title: "Matrix",
    what: "position",
    free: true,
    onPaint: renew,
    roomFor: wideRoom,
    ...matrixCallbacks(matrix),
  });
  matrix.facts = element("dl", {class: "pairs matrix-told"});
  matrix.legend = matrixLegend();
  const side = element("div", {class: "side"}, matrix.legend.root, matrix.facts);
  const body = element("div", {class: "beside"}, matrix.pane.root, side);
  return [told, matrix.absent, matrix.tools, body];
}

function matrixLegend() {
  const until = element(
    "span",
    {class: "labelled"},
    element("span", {class: "swatch here", "aria-hidden": "true"}),
    element("span"),
  );
  const after = element(
    "span",
    {class: "labelled"},
    element("span", {class: "swatch other", "aria-hidden": "true"}),
    "after its own step",
  );
  return {root: element("div", {class: "legend"}, until, after), until: until.lastChild, after};
}

function axisChoice(matrix, which) {
  const id = `matrix-axis${which}`;
  const select = element("select", {
    id,
    on: {
      change: () => {
        const axes = [...matrix.store.get().axes];
        axes[which] = Number(select.value);
        matrix.store.set({axes, zoomMatrix: null});
      },
    },
  });
  const label = element("label", {for: id, class: "label", text: ["positions along", "input along"][which]});
  return {root: element("span", {class: "labelled"}, label, select), select};
}

function nodeOf({doc, store}) {
  const {model, node} = store.get();
  return doc.models[model].nodes[node];
}

function shapeOf(matrix) {
  return nodeOf(matrix).field;
}

// Why there is no matrix; empty where there is one.
function withoutMatrix(name, field) {
  if (!field) return `${name} was not among the layers that were analysed.`;
  if (!field.positionShape.length)
    return `${name} has no positions, as a classifier has none: see “Seen” for what it reads.`;
  if (!field.pixelShape.length) return `The input of ${name} has no places beside its channels.`;
  return elementsOf(field.positionShape) ? "" : `${name} is empty: its shape is ${shapeWord(field.shape)}.`;
}

function paintMatrix(matrix) {
  const state = matrix.store.get();
  if (state.tab !== "matrix") return;
  const {name, field} = nodeOf(matrix);
  const absent = withoutMatrix(name, field);
  matrix.absent.hidden = !absent;
  write(matrix.absent, absent);
  for (const part of [matrix.tools, matrix.pane.root, matrix.legend.root, matrix.facts]) part.hidden = Boolean(absent);
  if (absent) return;
  if (matrix.isOld) paintMatrixBase(matrix, state, field, name);
  paintMatrixOver(matrix, state, field);
  showMatrixFacts(matrix, state, field);
}

function paintMatrixBase(matrix, state, field, name) {
  const {pane, palette, choices} = matrix;
  const shapes = [field.positionShape, field.pixelShape];
  choices.forEach(({root, select}, which) => {
    root.hidden = shapes[which].length < 2;
    const words = axisWords(shapes[which].length);
    if (select.options.length !== words.length) {
      select.replaceChildren(...words.map((text, value) => element("option", {value, text})));
    }
    select.value = String(state.axes[which]);
  });
  matrix.tools.hidden = choices.every(({root}) => root.hidden);
  const [p, q] = state.axes;
  const names = [axisWords(shapes[0].length)[p], axisWords(shapes[1].length)[q]];
  setPane(pane, {
    plane: [shapes[0][p], shapes[1][q]],
    shape: [shapes[0][p]],
    window: state.zoomMatrix,
    names: [`position (${names[0]})`, `input (${names[1]})`],
    label: `Matrix of ${name}: positions by input`,
    extent: `${countWord(shapes[0][p], "position")} × ${numberWord(shapes[1][q])} ${unitWord(shapes[1].length, shapes[1][q])}`,
  });
  const made = matrixCells(lookRow(field, state), state.axes, pane.view, pane.ratio, ownStep(matrix));
  matrix.sampled = made.sampled;
  const colours = [CLEAR, palette.mask, palette.other].map((colour) =>
    colour === CLEAR ? CLEAR : [...colour.slice(0, 3), 0.9],
  );
  paintBase(pane, [...groundScene({...pane, palette}), {kind: "cells", ...made.cells, colours}], palette);
  matrix.isOld = false;
}

// What the position in a row reads, the other axes of the map staying where the position chosen is.
function lookRow(field, {at, axes: [p], neuron, inputChannel}) {
  const index = [...at];
  return (row) => {
    index[p] = row;
    return freshLook(field, index, neuron, inputChannel);
  };
}

// Where a row's own step ends in the input, if both axes are the same one and have steps.
function ownStep(matrix) {
  const {
    axes: [p, q],
  } = matrix.store.get();
  const {field, figures} = nodeOf(matrix);
  const same = p === q && field.positionShape.length === field.pixelShape.length;
  return same && lookback(field, q) !== null ? ownStepEnd(figures.stride[q]) : null;
}

function rowNow({hover, at, axes: [p]}) {
  return (hover ?? at)[p];
}

function paintMatrixOver(matrix, state) {
  const {pane, palette, column} = matrix;
  const row = rowNow(state);
  const columns = [0, pane.plane[1]];
  const scene = [{kind: "box", rows: [row, row + 1], columns, least: 4, colour: palette.text, width: 1.5}];
  if (column !== null) {
    scene.push({
      kind: "box",
      rows: [0, pane.plane[0]],
      columns: [column, column + 1],
      colour: palette.accent,
      width: 1,
    });
  }
  paintOver(pane, scene);
  showTyped(pane, [row]);
}

function showMatrixFacts(matrix, state, field) {
  const [p, q] = state.axes;
  const row = rowNow(state);
  const look = lookRow(field, state)(row);
  const runs = look.seen.runs(look.axes[q]);
  const unit = (count) => unitWord(field.pixelShape.length, count);
  const index = [...state.at];
  index[p] = row;
  const pairs = [
    ["Position", placeWord(index)],
    ["Reads", `${runsWord(runs)} (${countWord(runs.length / 2, "run")})`],
  ];
  if (matrix.column !== null)
    pairs.push([
      "Pointing at",
      `${unit(1)} ${placeWord([matrix.column])}: ${inRuns(runs, matrix.column) ? "read" : "not read"}`,
    ]);
  const [back, ahead] = [lookback(field, q), lookahead(field, q)];
  if (back !== null) {
    pairs.push(["Look-back", `${numberWord(back)} ${unit(back)}, the most of all positions`]);
    pairs.push(["Look-ahead", `${numberWord(ahead)} ${unit(ahead)}${ahead === 0 ? ": causal, nothing later is read" : ""}`]);
  }
  if (matrix.sampled > 1)
    pairs.push(["Sampled", `each line is one of ${numberWord(matrix.sampled)} positions; zoom in to see every one`]);
  matrix.said = pairs.map((pair) => pair.join(": ")).join(". ");
  matrix.facts.replaceChildren(
    ...pairs.flatMap(([name, text]) => [element("dt", {text: name}), element("dd", {text})]),
  );
  const hasSteps = ownStep(matrix) !== null;
  write(matrix.legend.until, hasSteps ? "read, up to the end of its own step" : "read");
  matrix.legend.after.hidden = !hasSteps;
}

function inRuns(runs, place) {
  for (let k = 0; k < runs.length; k += 2) if (place >= runs[k] && place < runs[k + 1]) return true;
  return false;
}

// ---- Where one points -------------------------------------------------------------------------------------------

function goToRow(matrix, row) {
  const {
    at,
    axes: [p],
    zoomMatrix,
  } = matrix.store.get();
  const index = [...at];
  index[p] = Math.max(0, Math.min(row, matrix.pane.plane[0] - 1));
  const cell = [index[p], matrix.column ?? Math.floor(zoomMatrix?.[1][0] ?? 0)];
  const window =
    zoomMatrix &&
    windowWith(zoomMatrix, matrix.column === null ? [cell[0], Math.ceil(zoomMatrix[1][0])] : cell, matrix.pane.plane);
  matrix.store.set({at: index, hover: null, zoomMatrix: window});
  matrix.repaint();
  requestAnimationFrame(() => announce(matrix.said));
}

function matrixCallbacks(matrix) {
  const {store} = matrix;
  return {
    marked: () => [rowNow(store.get()), matrix.column ?? matrix.pane.plane[1] >> 1],
    onPoint(cell) {
      const {
        at,
        axes: [p],
      } = store.get();
      matrix.column = cell ? cell[1] : null;
      if (!at) return;
      store.set({hover: cell ? at.map((i, axis) => (axis === p ? cell[0] : i)) : null});
      matrix.repaint();
    },
    onChoose: (cell) => (cell ? goToRow(matrix, cell[0]) : announce(matrix.said ?? "", true)),
    onMove([rows, columns]) {
      const width = matrix.pane.plane[1];
      if (columns) matrix.column = Math.max(0, Math.min((matrix.column ?? width >> 1) + columns, width - 1));
      goToRow(matrix, store.get().at[store.get().axes[0]] + rows);
    },
    onTyped: ([row]) => goToRow(matrix, row),
    onZoom: (zoomMatrix) => store.set({zoomMatrix}),
    onKey(event) {
      const by = {PageUp: -10, PageDown: 10}[event.key];
      if (event.key === "Escape") matrix.column = null;
      else if (!by) return false;
      goToRow(matrix, store.get().at[store.get().axes[0]] + (by ?? 0));
      return true;
    },
  };
}

function matrixPicture(matrix) {
  const part = panePart(matrix.pane, 0, 44);
  const {left, top, width, height} = part.view;
  return {
    title: `Matrix, ${shapeWord(matrix.pane.plane)}`,
    parts: [part],
    caption: matrix.said,
    width: left + width + 20,
    height: top + height + 60,
  };
}
