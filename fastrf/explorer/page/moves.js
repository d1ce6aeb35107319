// What the stage's panes call back: pointing, choosing, moving and typing, as changes of the state.

import {indexOfCell, isIndexOf, movedIndex, wholeWindow, windowAround, windowWith} from "./geometry.js";
import {announce} from "./live.js";
import {pixelBox, planeBox} from "./looking.js";
import {looksNow, nodeShown, slicesNow} from "./looks.js";
import {placeWord} from "./words.js";

function following(pane, window, index) {
  const cell = [index.at(-2) ?? 0, index.at(-1) ?? 0];
  return window && windowWith(window, cell, pane.plane);
}

export function mapCallbacks(stage) {
  const {store} = stage;
  const shape = () => nodeShown(stage).field.positionShape;
  const go = (at) => store.set({at, hover: null, zoomMap: following(stage.map, store.get().zoomMap, at)});
  return {
    marked: () => planeBox((store.get().at ?? [0]).map((i) => [i, i])).map(([i]) => i),
    onPoint(cell) {
      const {at} = store.get();
      store.set({hover: cell && at ? indexOfCell(cell, at, shape()) : null});
    },
    onChoose(cell) {
      const {at} = store.get();
      if (cell && at) go(indexOfCell(cell, at, shape()));
      else announce(stage.readout.sentence(), true);
    },
    onMove: (step) => store.get().at && go(movedIndex(store.get().at, step, shape())),
    onTyped: (at) => go(at),
    onZoom: (zoomMap) => store.set({zoomMap}),
    onKey: (event) =>
      stageKey(stage, event, (by) => {
        const {at} = store.get();
        const n = shape();
        const moved = at.map((i, axis) =>
          axis === Math.max(0, n.length - 3) ? Math.max(0, Math.min(i + by, n[axis] - 1)) : i,
        );
        if (n.length > 2) go(moved);
        else go(movedIndex(at, [10 * by, n.length === 1 ? 10 * by : 0], n));
      }),
  };
}

export function inputCallbacks(stage) {
  const {store} = stage;
  const shape = () => nodeShown(stage).field.pixelShape;
  const start = () => cursorStart(stage);
  return {
    marked: () => planeBox(start().map((i) => [i, i])).map(([i]) => i),
    onPoint(cell) {
      stage.cursor = cell ? inSlices(stage, indexOfCell(cell, start(), shape())) : null;
      stage.repaint();
    },
    onChoose(cell) {
      const pixel = inSlices(stage, cell ? indexOfCell(cell, start(), shape()) : start());
      if (isIndexOf(pixel, shape()) && pixel.length) choosePixel(stage, pixel);
    },
    onMove(step) {
      stage.cursor = movedIndex(inSlices(stage, start()), step, shape());
      store.set({zoomInput: following(stage.input, store.get().zoomInput, stage.cursor)});
      announce(pixelSentence(stage));
      stage.repaint();
    },
    onTyped(pixel) {
      stage.cursor = null;
      const slice = store.get().slice.map((shown, axis) => (shown === null ? null : pixel[axis]));
      store.set({pixel, slice, zoomInput: following(stage.input, store.get().zoomInput, pixel)});
    },
    onZoom: (zoomInput) => store.set({zoomInput}),
    onSeen: () => zoomToSeen(stage),
    onKey: (event) => stageKey(stage, event, (by) => moveSlice(stage, by)),
  };
}

// Where the keys' cursor starts: at the pixel chosen, else in the middle of what is seen.
function cursorStart(stage) {
  const {mine, node, state} = looksNow(stage);
  const box = mine && pixelBox(mine);
  const middle = ([low, high]) => Math.floor((low + high - 1) / 2);
  return stage.cursor ?? state.pixel ?? node.field.pixelShape.map((n, axis) => middle(box?.[axis] ?? [0, n]));
}

// The index with that of the slices shown along all axes but the last two.
function inSlices(stage, index) {
  const shown = slicesNow(looksNow(stage)).input;
  return index.map((i, axis) => (axis < index.length - 2 ? (shown[axis] ?? i) : i));
}

// Chooses a pixel; the one that is chosen already is given up.
function choosePixel(stage, pixel) {
  const same = String(pixel) === String(stage.store.get().pixel);
  stage.cursor = null;
  stage.store.set({pixel: same ? null : pixel});
  stage.repaint();
}

function pixelSentence(stage) {
  const {mine} = looksNow(stage);
  const {cursor} = stage;
  if (!mine || mine.axes.length !== cursor.length || mine.seen.shape.length !== cursor.length)
    return `Pixel ${placeWord(cursor)}`;
  return `Pixel ${placeWord(cursor)}: ${mine.seen.has(cursor) ? "seen" : "not seen"}`;
}

function moveSlice(stage, by) {
  const now = looksNow(stage);
  const shape = now.node.field.pixelShape;
  if (shape.length < 3) return;
  const axis = shape.length - 3;
  const slice = [...now.state.slice];
  slice[axis] = Math.max(0, Math.min((slicesNow(now).input[axis] ?? 0) + by, shape[axis] - 1));
  stage.store.set({slice});
}

// Keys that both panes know: p pins, x exchanges, z zooms to what is seen, Page Up and Page Down change the slice.
function stageKey(stage, event, page) {
  const {store} = stage;
  if (event.ctrlKey) return false;
  if (event.key === "Escape") {
    stage.cursor = null;
    store.set({pixel: null, hover: null});
    stage.repaint();
  } else if (event.key === "PageUp" || event.key === "PageDown") page(event.key === "PageUp" ? -1 : 1);
  else if (event.key === "p") stage.pins.pin();
  else if (event.key === "x") stage.pins.exchange();
  else if (event.key === "z") zoomToSeen(stage);
  else return false;
  return true;
}

function zoomToSeen(stage) {
  const {mine, state} = looksNow(stage);
  const box = mine && pixelBox(mine);
  if (!box) return;
  const {plane} = stage.input;
  stage.store.set({zoomInput: state.zoomInput ? null : notWhole(windowAround(planeBox(box), plane), plane)});
}

function notWhole(window, plane) {
  return JSON.stringify(window) === JSON.stringify(wholeWindow(plane)) ? null : window;
}
