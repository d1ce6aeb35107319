import assert from "node:assert/strict";
import {test} from "node:test";

import {
  MOST_SCALE,
  clampedView,
  fittedView,
  openingView,
  revealingView,
  shownPart,
  zoomedAt,
} from "../../fastrf/explorer/page/viewport.js";

const WINDOW = {left: 40, width: 640, height: 400};

test("a zoom keeps what is under the pointer where it is", () => {
  const view = {x: 10, y: 20, scale: 1};
  const nearer = zoomedAt(view, 2, [100, 50], 0.1);
  assert.equal((100 - view.x) / view.scale, (100 - nearer.x) / nearer.scale);
  assert.equal(nearer.scale, 2);
  assert.equal(zoomedAt(view, 100, [0, 0], 0.1).scale, MOST_SCALE);
  assert.equal(zoomedAt(view, 1e-9, [0, 0], 0.1).scale, 0.1);
});

test("all of a drawing fits, and a small one is not blown up", () => {
  const fitted = fittedView({width: 2000, height: 100}, WINDOW);
  assert.equal(fitted.scale, 560 / 2000);
  assert.equal(fitted.x, 60);
  assert.equal(fittedView({width: 10, height: 10}, WINDOW).scale, 1);
});

test("a large drawing opens legible, about the chosen box", () => {
  const view = openingView({width: 300, height: 90000}, WINDOW, [150, 45000]);
  assert.equal(view.scale, 1);
  assert.equal(view.y + 45000 * view.scale, 200);
  assert.equal(openingView({width: 300, height: 90000}, WINDOW, [150, 0]).y, 20);
  assert.equal(openingView({width: 300, height: 90000}, WINDOW, [150, 90000]).y, 400 - 20 - 90000);
  assert.equal(openingView({width: 300, height: 300}, WINDOW, [0, 0]).scale, 1);
  assert.equal(openingView({width: 9000, height: 90000}, WINDOW, [4500, 45000]).scale, 0.6);
});

test("a box that is out of view comes in, one that is in view stays", () => {
  const view = {x: 0, y: 0, scale: 1};
  assert.deepEqual(revealingView(view, {x: 100, y: 100, width: 50, height: 50}, WINDOW), view);
  assert.equal(revealingView(view, {x: 100, y: 900, width: 50, height: 50}, WINDOW).y, 400 - 24 - 950);
  assert.equal(revealingView(view, {x: -500, y: 100, width: 50, height: 50}, WINDOW).x, 500 + 64);
});

test("some of the drawing stays in the window", () => {
  const drawing = {width: 100, height: 100};
  assert.deepEqual(clampedView({x: 9999, y: -9999, scale: 1}, drawing, WINDOW), {x: 580, y: -40, scale: 1});
  assert.deepEqual(shownPart({x: 0, y: 0, scale: 2}, WINDOW, 0), [0, 0, 320, 200]);
});
