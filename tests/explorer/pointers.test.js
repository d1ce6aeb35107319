import assert from "node:assert/strict";
import {test} from "node:test";

import {followPointers} from "../../fastrf/explorer/page/pointers.js";

// A pane that events are sent to, and what it tells of.
function followed(canPan = true) {
  const listeners = {};
  const told = [];
  const pane = {
    clientLeft: 0,
    clientTop: 0,
    addEventListener: (name, listener) => (listeners[name] = listener),
    getBoundingClientRect: () => ({left: 10, top: 20}),
    setPointerCapture: () => listeners.lostpointercapture({target: "a box in it", pointerId: 1}),
  };
  const note =
    (name, answer) =>
    (...given) => {
      told.push([name, ...given]);
      return answer;
    };
  const names = ["zoom", "press", "pressTwice", "hover"].map((name) => [name, note(name)]);
  followPointers(pane, {pan: note("pan", canPan), ...Object.fromEntries(names)});
  const send = (name, x, y, more = {}) =>
    listeners[name]({button: 0, pointerId: 1, clientX: 10 + x, clientY: 20 + y, target: "box", ...more});
  return {send, told};
}

test("what is held still presses, what moves pans and presses nothing", () => {
  const {send, told} = followed();
  send("pointerdown", 50, 50);
  send("pointermove", 51, 51);
  send("pointerup", 51, 51);
  assert.deepEqual(told, [["press", [51, 51], "box"]]);
  send("pointerdown", 50, 50);
  send("pointermove", 60, 50);
  send("pointermove", 60, 70);
  send("pointerup", 60, 70);
  assert.deepEqual(told.slice(1), [
    ["pan", 10, 0],
    ["pan", 0, 20],
  ]);
});

test("two fingers zoom about what lies between them", () => {
  const {send, told} = followed();
  send("pointerdown", 0, 0);
  send("pointerdown", 100, 0, {pointerId: 2});
  send("pointermove", 200, 0, {pointerId: 2});
  assert.deepEqual(told, [
    ["pan", 50, 0],
    ["zoom", 2, [100, 0]],
  ]);
  send("pointercancel", 0, 0);
  send("pointermove", 5, 5);
  assert.deepEqual(told.at(-1), ["hover", [5, 5]]);
});

test("the wheel pans, zooms with Ctrl, and leaves the page to scroll where there is no more room", () => {
  const wheel = (canPan, more) => {
    const {send, told} = followed(canPan);
    let isTaken = false;
    send("wheel", 5, 5, {deltaX: 0, deltaY: 3, deltaMode: 1, preventDefault: () => (isTaken = true), ...more});
    return [told[0].slice(0, 2), isTaken];
  };
  assert.deepEqual(wheel(true, {deltaX: 1}), [["pan", -16], true]);
  assert.deepEqual(wheel(false, {deltaX: 1}), [["pan", -16], false]);
  assert.deepEqual(wheel(false, {ctrlKey: true, deltaY: 0}), [["zoom", 1], true]);
});
