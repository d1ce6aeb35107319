import assert from "node:assert/strict";
import {readFileSync} from "node:fs";
import test from "node:test";

import {
  HEAT_PALETTE,
  OKABE_ITO,
  contrastOf,
  cssColour,
  heatByte,
  heatColour,
  parsedColour,
} from "../../fastrf/explorer/page/colours.js";

const style = readFileSync(new URL("../../fastrf/explorer/page/style.css", import.meta.url), "utf8");

// The custom properties of the first rule with this selector.
function colours(selector) {
  const start = style.indexOf(`${selector} {`);
  const body = style.slice(start, style.indexOf("}", start));
  return Object.fromEntries([...body.matchAll(/(--[\w-]+):\s*(#\w{6})/g)].map(([, name, value]) => [name, value]));
}

const light = colours(":root");
const dark = colours(':root[data-theme="dark"]');

test("the theme that is chosen is the one of the system", () => {
  assert.deepEqual(colours(':root:not([data-theme="light"])'), dark);
  assert.deepEqual(Object.keys(dark), Object.keys(light));
});

test("text has a contrast of at least 4.5 on every ground, marks one of 3", () => {
  for (const [theme, name] of [
    [light, "light"],
    [dark, "dark"],
  ]) {
    const contrast = (one, other) =>
      contrastOf(parsedColour(theme[one]).slice(0, 3), parsedColour(theme[other]).slice(0, 3));
    for (const text of ["--text", "--quiet", "--accent", "--accent-2", "--bad", "--good"]) {
      for (const ground of ["--panel", "--ground", "--raised"]) {
        assert.ok(contrast(text, ground) >= 4.5, `${name}: ${text} on ${ground} ${contrast(text, ground)}`);
      }
    }
    assert.ok(contrast("--on-accent", "--accent") >= 4.5, name);
    for (const mark of ["--frame", "--focus", "--box"]) assert.ok(contrast(mark, "--panel") >= 3, `${name}: ${mark}`);
  }
});

test("masks have the colours of Okabe and Ito", () => {
  const known = Object.values(OKABE_ITO).map(String);
  for (const name of ["--mask", "--mask-2", "--mask-both", "--seers", "--box"]) {
    assert.ok(known.includes(String(parsedColour(light[name]).slice(0, 3))), name);
  }
  for (const name of ["--mask", "--mask-2", "--mask-both"]) {
    assert.ok(known.includes(String(parsedColour(dark[name]).slice(0, 3))), name);
  }
});

test("the heat scale grows lighter all the way", () => {
  const light = (colour) => contrastOf(colour, [0, 0, 0]);
  for (let k = 1; k <= 100; k++) assert.ok(light(heatColour(k / 100)) > light(heatColour((k - 1) / 100)));
  assert.equal(HEAT_PALETTE.length, 256);
  assert.equal(HEAT_PALETTE[0][3], 0);
});

test("values on the scale", () => {
  assert.deepEqual([heatByte(0, 0, 10), heatByte(10, 0, 10), heatByte(5, 0, 10)], [1, 255, 128]);
  assert.deepEqual([heatByte(NaN, 0, 10), heatByte(3, 3, 3), heatByte(99, 0, 10)], [0, 128, 255]);
});

test("colours are read and written", () => {
  assert.deepEqual(parsedColour(" #0072b2"), [0, 114, 178, 1]);
  assert.deepEqual(parsedColour("rgba(1, 2, 3, 0.5)"), [1, 2, 3, 0.5]);
  assert.equal(cssColour([1, 2, 3, 0.5]), "rgba(1, 2, 3, 0.5)");
  assert.equal(cssColour([1, 2, 3]), "rgb(1, 2, 3)");
  assert.equal(contrastOf([0, 0, 0], [255, 255, 255]), 21);
});
