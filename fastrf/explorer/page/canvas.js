// Paints scenes (see scene.js) on a canvas, at its own resolution.

import {cssColour, parsedColour} from "./colours.js";
import {screenBox, toX, toY} from "./geometry.js";
import {MARGIN, axisTicks} from "./scene.js";

const scratch = document.createElement("canvas");
const pictures = new Map();

// The image of a data address, decoded once; `ready` is called when it can be drawn.
export function imageOf(uri, ready = () => {}) {
  let image = pictures.get(uri);
  if (!image) {
    image = new Image();
    image.src = uri;
    pictures.set(uri, image);
  }
  if (!image.complete) image.addEventListener("load", ready, {once: true});
  return image;
}

export function paintScene(context, view, scene) {
  context.save();
  context.beginPath();
  context.rect(view.left, view.top, view.width, view.height);
  context.clip();
  for (const item of scene) PAINTERS[item.kind](context, view, item);
  context.restore();
}

const PAINTERS = {
  image: paintImage,
  cells: paintCells,
  box: paintBox,
  cross: paintCross,
  lines: paintLines,
  path: paintPath,
};

function rectangleIn(view, rows, columns, least = 0) {
  const {x, y, width, height} = screenBox(view, rows, columns, least);
  return [x, y, width, height];
}

function paintImage(context, view, {uri, rows, columns}) {
  const image = imageOf(uri);
  if (image.complete && image.naturalWidth) context.drawImage(image, ...rectangleIn(view, rows, columns));
}

function paintCells(context, view, {window, size, bytes, colours}) {
  const [rows, columns] = size;
  const words = new Uint32Array(bytes.length);
  const table = new Uint32Array(256);
  colours.forEach(([red, green, blue, alpha], value) => {
    table[value] = ((Math.round(alpha * 255) << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  });
  for (let k = 0; k < bytes.length; k++) words[k] = table[bytes[k]];
  if (scratch.width < columns) scratch.width = columns;
  if (scratch.height < rows) scratch.height = rows;
  scratch.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(words.buffer), columns, rows), 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(scratch, 0, 0, columns, rows, ...rectangleIn(view, ...window));
  context.imageSmoothingEnabled = true;
}

function paintBox(context, view, {rows, columns, colour, width = 1.5, dash = [], fill = null, least = 0}) {
  const rectangle = rectangleIn(view, rows, columns, least);
  if (fill) {
    context.fillStyle = cssColour(fill);
    context.fillRect(...rectangle);
  }
  if (!colour) return;
  context.strokeStyle = cssColour(colour);
  context.lineWidth = width;
  context.setLineDash(dash);
  context.strokeRect(...rectangle);
  context.setLineDash([]);
}

function paintCross(context, view, {at, colour, halo}) {
  const [x, y] = [toX(view, at[1]), toY(view, at[0])];
  for (const [ink, width] of [
    [halo, 4],
    [colour, 2],
  ]) {
    if (!ink) continue;
    context.strokeStyle = cssColour(ink);
    context.lineWidth = width;
    context.beginPath();
    context.moveTo(x - 7, y);
    context.lineTo(x + 7, y);
    context.moveTo(x, y - 7);
    context.lineTo(x, y + 7);
    context.stroke();
  }
}

function paintLines(context, view, {rows, columns, colour}) {
  context.strokeStyle = cssColour(colour);
  context.lineWidth = 0.5;
  context.beginPath();
  for (const row of rows) {
    context.moveTo(view.left, toY(view, row));
    context.lineTo(view.left + view.width, toY(view, row));
  }
  for (const column of columns) {
    context.moveTo(toX(view, column), view.top);
    context.lineTo(toX(view, column), view.top + view.height);
  }
  context.stroke();
}

function paintPath(context, view, {points, colour, width = 1.5}) {
  context.strokeStyle = cssColour(colour);
  context.lineWidth = width;
  context.beginPath();
  points.forEach(([row, column], k) => context[k ? "lineTo" : "moveTo"](toX(view, column), toY(view, row)));
  context.stroke();
}

// The frame of a view with its ticks and the name of its columns.
export function paintFrame(context, view, plane, names, palette) {
  const {left, top, width, height} = view;
  context.strokeStyle = cssColour(palette.frame);
  context.lineWidth = 1;
  context.strokeRect(left, top, width, height);
  context.fillStyle = cssColour(palette.quiet);
  context.font = "11px system-ui, sans-serif";
  for (const {axis, at, text} of axisTicks(view, plane)) {
    context.textAlign = axis ? "center" : "right";
    if (axis) context.fillText(text, toX(view, at), top + height + 14);
    else context.fillText(text, left - 6, toY(view, at) + 4);
  }
  context.textAlign = "center";
  if (plane[1] > 1) context.fillText(names[1], left + width / 2, top + height + 29);
  if (plane[0] <= 1) return;
  context.save();
  context.translate(left - MARGIN.left + 11, top + height / 2);
  context.rotate(-Math.PI / 2);
  context.fillText(names[0], 0, 0);
  context.restore();
}

// The colours of the present theme, as numbers.
export function paletteNow() {
  const style = getComputedStyle(document.documentElement);
  const names = {
    ground: "--ground",
    panel: "--panel",
    text: "--text",
    quiet: "--quiet",
    line: "--line",
    frame: "--frame",
    accent: "--accent",
    mask: "--mask",
    other: "--mask-2",
    both: "--mask-both",
    box: "--box",
    centre: "--centre",
    halo: "--halo",
    seers: "--seers",
    empty: "--empty",
    bad: "--bad",
  };
  return Object.fromEntries(
    Object.entries(names).map(([key, name]) => [key, parsedColour(style.getPropertyValue(name))]),
  );
}

// Calls when the system's wish for light or dark changes.
export function onDarkness(call) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", call);
}
