// Downloads of the picture that is shown, and the link to this view.

import {imageOf, paintFrame, paintScene, paletteNow} from "./canvas.js";
import {cssColour} from "./colours.js";
import {element} from "./dom.js";
import {notify} from "./live.js";
import {svgOf} from "./scene.js";
import {wrappedLines} from "./words.js";

const PNG_SCALE = 2;
const LINE_LENGTH = 7;

// A picture as its owner gives it, with its title above and what is seen below.
function framedPicture(given, heading) {
  const palette = paletteNow();
  const lines = wrappedLines(given.caption ?? "", Math.max(30, Math.floor(given.width / LINE_LENGTH)));
  const notes = [{x: 12, y: 24, text: heading, style: {"font-size": 15, "font-weight": 600}}];
  lines.forEach((text, k) => notes.push({x: 12, y: given.height + 4 + 17 * k, text, style: {}}));
  return {
    ...given,
    notes: [...notes, ...(given.notes ?? [])],
    palette,
    height: given.height + 17 * lines.length + 8,
    ground: cssColour(palette.panel),
    text: cssColour(palette.text),
    line: cssColour(palette.frame),
  };
}

export function downloadSvg(given, heading, name) {
  save(new Blob([svgOf(framedPicture(given, heading))], {type: "image/svg+xml"}), `${name}.svg`);
}

export async function downloadPng(given, heading, name) {
  const picture = framedPicture(given, heading);
  const canvas = element("canvas", {
    width: Math.ceil(picture.width * PNG_SCALE),
    height: Math.ceil(picture.height * PNG_SCALE),
  });
  const context = canvas.getContext("2d");
  context.scale(PNG_SCALE, PNG_SCALE);
  context.fillStyle = picture.ground;
  context.fillRect(0, 0, picture.width, picture.height);
  for (const {view, plane, names, scene} of picture.parts) {
    for (const item of scene)
      if (item.kind === "image")
        await imageOf(item.uri)
          .decode()
          .catch(() => {});
    paintScene(context, view, scene);
    paintFrame(context, view, plane, names, picture.palette);
  }
  for (const {x, y, text, style} of picture.notes) {
    context.fillStyle = style.fill ?? picture.text;
    context.font = `${style["font-weight"] ?? 400} ${style["font-size"] ?? 12}px system-ui, sans-serif`;
    context.textAlign = {middle: "center", end: "right"}[style["text-anchor"]] ?? "left";
    context.fillText(text, x, y);
  }
  const blob = await new Promise((resolve) => {
    canvas.toBlob(resolve, "image/png");
  });
  save(blob, `${name}.png`);
}

function save(blob, name) {
  const address = URL.createObjectURL(blob);
  const link = element("a", {href: address, download: name});
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
  notify(`Saved ${name}.`);
}

// Copies the address; where the browser does not let a page do so, or the page has none, it is shown to be copied.
export async function copyLink(dialog, hash) {
  const hasAddress = globalThis.location.protocol !== "about:";
  const address = hasAddress ? globalThis.location.href.replace(/#.*$/, "") + hash : hash;
  try {
    if (!hasAddress) throw new Error("no address");
    await navigator.clipboard.writeText(address);
    notify("Link copied.");
  } catch {
    showAddress(dialog, address, hasAddress);
  }
}

function showAddress(dialog, address, hasAddress) {
  const title = element("h2", {id: "keys-title", text: "Link to this view"});
  const close = element("button", {type: "button", text: "Close", on: {click: () => dialog.close()}});
  const field = element("input", {type: "text", readonly: true, "aria-label": "Link to this view", class: "wide"});
  field.value = address;
  const text = hasAddress
    ? "Copy it from here; the browser does not let this page do so."
    : "This page stands inside another one. Put this behind the address of the report's own file:";
  dialog.replaceChildren(element("div", {class: "dialog-head"}, title, close), element("p", {text}), field);
  dialog.showModal();
  field.select();
}
