// A pane: one map on the screen, with its ticks, zoom, pan, keys and a field to type an index into.
// What it shows comes as scenes from its owner; what is pointed at, chosen or typed goes back by callbacks.

import {paintFrame, paintScene} from "./canvas.js";
import {element, oncePerFrame, write} from "./dom.js";
import {cellUnder, isWhole, panned, plotSize, under, wholeWindow, zoomed} from "./geometry.js";
import {MARGIN} from "./scene.js";
import {axisWords, typedIndex} from "./words.js";

const STEPS = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]};
const LEAP = 10;
const ZOOM = 1.5;
let panesMade = 0;

// `told` has: title, what (the word for an index), roomFor() -> {width, height}, and the callbacks onPoint(cell|null),
// onChoose(cell), onMove([rows, columns], toEnd), onTyped(index), onZoom(window|null), onKey(event), onPaint(),
// and may have onSeen() (zoom to what is seen) `free` and `strip` (see `plotSize`).
export function makePane(told) {
  const name = `pane${(panesMade += 1)}`;
  const parts = paneParts(name, told);
  const pane = {
    ...parts,
    told,
    plane: [1, 1],
    names: ["row", "column"],
    window: [
      [0, 1],
      [0, 1],
    ],
    view: {
      left: 0,
      top: 0,
      width: 1,
      height: 1,
      window: [
        [0, 1],
        [0, 1],
      ],
    },
    ratio: 1,
    scenes: {base: [], over: []},
  };
  const repaint = oncePerFrame(() => told.onPaint());
  pane.observer = new ResizeObserver(() => {
    if (measurePane(pane)) repaint();
  });
  pane.observer.observe(parts.frame);
  listenToPointer(pane);
  listenToKeys(pane);
  listenToControls(pane);
  return pane;
}

// The room of a pane that stands alone.
export function wideRoom(frame) {
  const height = Math.max(260, Math.min(globalThis.innerHeight * 0.62, 900));
  return {width: Math.max(120, frame.clientWidth), height};
}

function paneParts(name, told) {
  const {title} = told;
  const base = element("canvas", {"aria-hidden": "true"});
  const over = element("canvas", {"aria-hidden": "true"});
  const role = {role: "application", "aria-roledescription": "map", "aria-describedby": `${name}-keys`};
  const plot = element("div", {class: "plot", tabindex: 0, ...role}, base, over);
  const frame = element("div", {class: "plot-frame"}, plot);
  const problem = element("p", {class: "problem", id: `${name}-problem`, "aria-live": "polite"});
  const text = "Arrow keys move, Enter chooses, plus and minus zoom, question mark lists all keys.";
  const keys = element("span", {id: `${name}-keys`, class: "unseen", text});
  const head = paneHead(name, told);
  const root = element("section", {class: "pane", "aria-label": title}, head.head, frame, problem, keys);
  return {root, frame, plot, base, over, problem, ...head};
}

function paneHead(name, {title, what, onSeen}) {
  const typed = element("input", {
    class: "typed",
    type: "text",
    inputmode: "numeric",
    autocomplete: "off",
    spellcheck: "false",
    "aria-label": `Go to ${what}`,
    title: `Go to ${what}`,
    "aria-describedby": `${name}-problem`,
  });
  const button = (text, label) =>
    element("button", {type: "button", class: "small", text, "aria-label": label, title: label});
  const zoom = {
    out: button("−", `${title}: zoom out`),
    in: button("+", `${title}: zoom in`),
    fit: button("Fit", `${title}: fit, show all`),
  };
  const shape = element("span", {class: "quiet shape"});
  const space = element("span", {class: "push"});
  if (onSeen) zoom.seen = button("Field", `${title}: field, zoom to what is seen, and back`);
  const buttons = element("span", {class: "joined"}, ...Object.values(zoom));
  const head = element("div", {class: "pane-head"}, element("h3", {text: title}), shape, space, typed, buttons);
  return {head, typed, zoom, shape};
}

// Takes the map to show; `window` null is all of it.
export function setPane(pane, {plane, shape, names, window, label, extent}) {
  Object.assign(pane, {plane, names, window: window ?? wholeWindow(plane), indexShape: shape});
  pane.plot.setAttribute("aria-label", label);
  write(pane.shape, extent);
  pane.typed.placeholder = axisWords(shape.length).join(", ");
  const whole = isWhole(pane.window, plane);
  pane.zoom.out.disabled = pane.zoom.fit.disabled = whole;
  pane.plot.style.touchAction = whole ? "" : "none";
  measurePane(pane);
}

// The canvases fit the room; true where that changed their size.
function measurePane(pane) {
  const room = pane.told.roomFor(pane.frame);
  const inner = {width: room.width - MARGIN.left - MARGIN.right, height: room.height - MARGIN.top - MARGIN.bottom};
  const plot = plotSize({width: Math.max(60, inner.width), height: Math.max(60, inner.height)}, pane.plane, pane.told);
  const ratio = Math.min(globalThis.devicePixelRatio || 1, 2);
  const {left, top} = MARGIN;
  const changed = plot.width !== pane.view.width || plot.height !== pane.view.height || ratio !== pane.ratio;
  pane.view = {left, top, ...plot, window: pane.window};
  pane.ratio = ratio;
  const [width, height] = [plot.width + left + MARGIN.right, plot.height + top + MARGIN.bottom];
  for (const canvas of [pane.base, pane.over]) {
    if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
    if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
  }
  for (const box of [pane.plot, pane.base, pane.over]) {
    box.style.width = `${width}px`;
    box.style.height = `${height}px`;
  }
  return changed;
}

export function paintBase(pane, scene, palette) {
  const context = clearedCanvas(pane.base, pane.ratio);
  paintScene(context, pane.view, scene);
  paintFrame(context, pane.view, pane.plane, pane.names, palette);
  pane.scenes.base = scene;
}

export function paintOver(pane, scene) {
  paintScene(clearedCanvas(pane.over, pane.ratio), pane.view, scene);
  pane.scenes.over = scene;
}

function clearedCanvas(canvas, ratio) {
  const context = canvas.getContext("2d");
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

// What the pane shows, for a picture with its upper left corner at (x, y).
export function panePart(pane, x, y) {
  const view = {...pane.view, left: pane.view.left + x, top: pane.view.top + y};
  return {view, plane: pane.plane, names: pane.names, scene: [...pane.scenes.base, ...pane.scenes.over]};
}

function pointIn(pane, event) {
  const box = pane.plot.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

function zoomTo(pane, window) {
  pane.told.onZoom(isWhole(window, pane.plane) ? null : window);
}

function listenToPointer(pane) {
  const {plot, told} = pane;
  let held = null;
  const cell = (event) => cellUnder(pane.view, ...pointIn(pane, event), pane.plane);
  plot.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    held = {at: pointIn(pane, event), window: pane.window, moved: false};
    plot.focus({preventScroll: true});
  });
  plot.addEventListener("pointermove", (event) => {
    if (!held || isWhole(held.window, pane.plane)) return told.onPoint(cell(event));
    const [x, y] = pointIn(pane, event);
    const far = Math.hypot(x - held.at[0], y - held.at[1]);
    if (!held.moved && far < 4) return undefined;
    if (!held.moved) plot.setPointerCapture(event.pointerId);
    held.moved = true;
    const start = {...pane.view, window: held.window};
    const [from, to] = [under(start, ...held.at), under(start, x, y)];
    return zoomTo(pane, panned(held.window, [from[0] - to[0], from[1] - to[1]], pane.plane));
  });
  plot.addEventListener("pointerup", (event) => {
    const chosen = held && !held.moved && cell(event);
    held = null;
    if (chosen) told.onChoose(chosen);
  });
  plot.addEventListener("pointercancel", () => {
    held = null;
  });
  plot.addEventListener("pointerleave", () => told.onPoint(null));
  plot.addEventListener("wheel", (event) => wheelOn(pane, event), {passive: false});
}

// A page that is scrolled past must not zoom: only with the focus inside, or with the control key.
function wheelOn(pane, event) {
  if (!event.ctrlKey && document.activeElement !== pane.plot) return;
  event.preventDefault();
  const about = under(pane.view, ...pointIn(pane, event));
  zoomTo(pane, zoomed(pane.window, Math.exp(-event.deltaY / 400), about, pane.plane));
}

function listenToKeys(pane) {
  pane.plot.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    const {told} = pane;
    if (event.altKey || event.metaKey) return;
    if (step && event.ctrlKey) {
      const lengths = pane.window.map(([low, high]) => (high - low) / 4);
      zoomTo(
        pane,
        panned(
          pane.window,
          step.map((by, axis) => by * lengths[axis]),
          pane.plane,
        ),
      );
    } else if (step)
      told.onMove(
        step.map((by) => by * (event.shiftKey ? LEAP : 1)),
        false,
      );
    else if (event.key === "Home" || event.key === "End") {
      const by = event.key === "Home" ? -Infinity : Infinity;
      told.onMove(event.ctrlKey ? [by, by] : [0, by], true);
    } else if (event.key === "+" || event.key === "=") zoomAbout(pane, ZOOM);
    else if (event.key === "-") zoomAbout(pane, 1 / ZOOM);
    else if (event.key === "0") told.onZoom(null);
    else if (event.key === "Enter" || event.key === " ") told.onChoose(null);
    else if (!told.onKey(event)) return;
    event.preventDefault();
  });
}

// Zooms about what is marked, so that it stays on the screen.
function zoomAbout(pane, factor) {
  const middle = pane.window.map(([low, high]) => (low + high) / 2);
  const marked = pane.told.marked?.();
  const inside = marked?.every((i, axis) => i >= pane.window[axis][0] && i < pane.window[axis][1]);
  zoomTo(pane, zoomed(pane.window, factor, inside ? marked.map((i) => i + 0.5) : middle, pane.plane));
}

function listenToControls(pane) {
  const {zoom, typed, told} = pane;
  zoom.in.addEventListener("click", () => zoomAbout(pane, ZOOM));
  zoom.out.addEventListener("click", () => zoomAbout(pane, 1 / ZOOM));
  zoom.fit.addEventListener("click", () => told.onZoom(null));
  zoom.seen?.addEventListener("click", () => told.onSeen());
  const take = () => {
    if (typed.value.trim() === "" || typed.value === pane.typedLast) return;
    const {index, problem} = typedIndex(typed.value, pane.indexShape, told.what);
    typed.setAttribute("aria-invalid", String(!index));
    write(pane.problem, problem);
    if (index) told.onTyped(index);
  };
  typed.addEventListener("keydown", (event) => {
    if (event.key === "Enter") take();
  });
  typed.addEventListener("change", take);
}

// Shows an index in the field to type into, unless someone is typing.
export function showTyped(pane, index) {
  if (document.activeElement === pane.typed && pane.typed.value !== pane.typedLast) return;
  pane.typedLast = index ? index.join(", ") : "";
  pane.typed.value = pane.typedLast;
  pane.typed.setAttribute("aria-invalid", "false");
  write(pane.problem, "");
}
