// Pictures as plain data: a scene is a list of items in elements of a map, a picture some scenes with their views.
// `canvas.js` paints them, `svgOf` writes them as SVG: what is downloaded is what is seen. No document here.
//
// Items: {kind: "image", uri, rows, columns}, {kind: "cells", window, size, bytes, colours}, {kind: "box", rows,
// columns, colour, width, dash, fill, least: pixels}, {kind: "cross", at, colour, halo}, {kind: "lines", rows,
// columns, colour}, {kind: "path", points: [[row, column]], colour, width}. Rows and columns of boxes are [low, high].

import {cssColour} from "./colours.js";
import {screenBox, tickWord, ticksOf, toX, toY} from "./geometry.js";

export const MARGIN = {left: 52, right: 10, top: 6, bottom: 34};
const SPACE = "http://www.w3.org/2000/svg";

// Lines between elements, where these are large enough on the screen.
export function linesItem(view, plane, colour) {
  const sides = [view.height, view.width];
  const [rows, columns] = view.window.map(([low, high], axis) => {
    if (sides[axis] / (high - low) < 5) return [];
    const found = [];
    for (let k = Math.max(0, Math.ceil(low)); k <= Math.min(high, plane[axis]); k++) found.push(k);
    return found;
  });
  return {kind: "lines", rows, columns, colour};
}

// Ticks of a view: [{axis, at, text}], the last index among them where it fits.
export function axisTicks(view, plane) {
  const sides = [view.height, view.width];
  return view.window.flatMap(([low, high], axis) => {
    if (plane[axis] <= 1) return [];
    const ticks = ticksOf([low, high - 0.5], sides[axis], axis ? 64 : 40);
    return ticks.filter((tick) => tick < plane[axis]).map((tick) => ({axis, at: tick + 0.5, text: tickWord(tick)}));
  });
}

// By value, the rectangles [row, column, rows, columns] of the cells that hold it, equal rows joined; 0 is left out.
export function rectanglesOf(bytes, [rows, columns]) {
  const found = new Map();
  let open = new Map();
  for (let row = 0; row < rows; row++) {
    const here = new Map();
    for (let column = 0, next; column < columns; column = next) {
      const value = bytes[row * columns + column];
      for (next = column + 1; next < columns && bytes[row * columns + next] === value;) next++;
      if (!value) continue;
      const key = (value * (columns + 1) + column) * (columns + 1) + next;
      let rectangle = open.get(key);
      if (rectangle) rectangle[2] += 1;
      else {
        rectangle = [row, column, 1, next - column];
        if (!found.has(value)) found.set(value, []);
        found.get(value).push(rectangle);
      }
      here.set(key, rectangle);
    }
    open = here;
  }
  return found;
}

// ---- SVG --------------------------------------------------------------------------------------------------------

export function svgOf(picture) {
  const {width, height, ground, text} = picture;
  const font = 'font-family="system-ui, sans-serif" font-size="12"';
  const parts = picture.parts.map((part, k) => svgPart(part, k, picture));
  const notes = picture.notes.map((note) => svgText(note.x, note.y, note.text, {fill: text, ...note.style}));
  return `<svg xmlns="${SPACE}" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" ${font}>
<title>${svgEscaped(picture.title)}</title>
<rect width="${width}" height="${height}" fill="${svgEscaped(ground)}"/>
${[...parts, ...notes].join("\n")}
</svg>
`;
}

function svgPart({view, plane, scene, names}, k, {text, line}) {
  const {left, top, width, height} = view;
  const frame = `x="${left}" y="${top}" width="${width}" height="${height}"`;
  const ticks = axisTicks(view, plane).map(({axis, at, text: label}) =>
    axis
      ? svgText(toX(view, at), top + height + 14, label, {"text-anchor": "middle", fill: text})
      : svgText(left - 6, toY(view, at) + 4, label, {"text-anchor": "end", fill: text}),
  );
  const [x, y] = [left - MARGIN.left + 11, top + height / 2];
  const turned = {"text-anchor": "middle", fill: text, transform: `rotate(-90 ${x} ${y})`};
  const [rows, columns] = [plane[0] > 1 ? names[0] : "", plane[1] > 1 ? names[1] : ""];
  const below = {"text-anchor": "middle", fill: text};
  return `<clipPath id="part${k}"><rect ${frame}/></clipPath>
<g clip-path="url(#part${k})">${scene.map((item) => svgItem(item, view)).join("\n")}</g>
<rect ${frame} fill="none" stroke="${svgEscaped(line)}"/>
${ticks.join("")}${svgText(left + width / 2, top + height + 29, columns, below)}${svgText(x, y, rows, turned)}`;
}

function svgItem(item, view) {
  return {image: svgImage, cells: svgCells, box: svgBox, cross: svgCross, lines: svgLines, path: svgPath}[item.kind](
    item,
    view,
  );
}

function svgImage({uri, rows, columns}, view) {
  return `<image href="${svgEscaped(uri)}" preserveAspectRatio="none" ${svgPlaced(rows, columns, view)}/>`;
}

function svgCells({window, size, bytes, colours}, view) {
  const [[top, bottom], [left, right]] = window;
  const [high, wide] = [(bottom - top) / size[0], (right - left) / size[1]];
  return [...rectanglesOf(bytes, size)]
    .map(([value, rectangles]) => {
      const path = rectangles.map(([row, column, rows, columns]) => {
        const [x, y] = [toX(view, left + column * wide), toY(view, top + row * high)];
        const [w, h] = [toX(view, left + (column + columns) * wide) - x, toY(view, top + (row + rows) * high) - y];
        return `M${svgNumber(x)} ${svgNumber(y)}h${svgNumber(w)}v${svgNumber(h)}h${svgNumber(-w)}z`;
      });
      const [red, green, blue, alpha] = colours[value];
      return `<path d="${path.join("")}" fill="${cssColour([red, green, blue])}" fill-opacity="${alpha}"/>`;
    })
    .join("");
}

function svgBox({rows, columns, colour, width = 1.5, dash = [], fill = null, least = 0}, view) {
  const dashes = dash.length ? ` stroke-dasharray="${dash.join(" ")}"` : "";
  const stroke = colour ? `stroke="${cssColour(colour)}" stroke-width="${width}"${dashes}` : "";
  return `<rect ${svgPlaced(rows, columns, view, least)} fill="${fill ? cssColour(fill) : "none"}" ${stroke}/>`;
}

function svgCross({at, colour}, view) {
  const [x, y] = [toX(view, at[1]), toY(view, at[0])];
  const path = `M${svgNumber(x - 7)} ${svgNumber(y)}h14M${svgNumber(x)} ${svgNumber(y - 7)}v14`;
  return `<path d="${path}" stroke="${cssColour(colour)}" stroke-width="2" fill="none"/>`;
}

function svgLines({rows, columns, colour}, view) {
  const {left, top, width, height} = view;
  const across = rows.map((row) => `M${left} ${svgNumber(toY(view, row))}h${width}`);
  const down = columns.map((column) => `M${svgNumber(toX(view, column))} ${top}v${height}`);
  return `<path d="${[...across, ...down].join("")}" stroke="${cssColour(colour)}" stroke-width="0.5" fill="none"/>`;
}

function svgPath({points, colour, width = 1.5}, view) {
  const told = points.map(([row, column]) => `${svgNumber(toX(view, column))},${svgNumber(toY(view, row))}`);
  return `<polyline points="${told.join(" ")}" stroke="${cssColour(colour)}" stroke-width="${width}" fill="none"/>`;
}

function svgPlaced(rows, columns, view, least = 0) {
  const box = screenBox(view, rows, columns, least);
  return Object.entries(box)
    .map(([name, value]) => `${name}="${svgNumber(value)}"`)
    .join(" ");
}

function svgText(x, y, text, style) {
  const told = Object.entries(style).map(([name, value]) => `${name}="${svgEscaped(value)}"`);
  return `<text x="${svgNumber(x)}" y="${svgNumber(y)}" ${told.join(" ")}>${svgEscaped(text)}</text>`;
}

function svgNumber(value) {
  return Number(value.toFixed(2));
}

function svgEscaped(text) {
  const named = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"};
  return String(text)
    .replace(/[&<>"']/g, (mark) => named[mark])
    .replace(/[\0-\x08\x0b\x0c\x0e-\x1f]/g, "\ufffd");
}
