// Mouse and fingers over a pane that is panned and zoomed: one drags, two zoom, the wheel pans or, with Ctrl, zooms;
// what does not move presses. Called by the graph.

const STILL = 4; // pixels that a press may move

// Tells `target` of pan(dx, dy), zoom(factor, point), press(point, element), pressTwice(point) and hover(point).
export function followPointers(pane, target) {
  const held = new Map();
  let isStill = true;
  pane.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    isStill = held.size === 0;
    held.set(event.pointerId, placeIn(pane, event));
  });
  pane.addEventListener("pointermove", (event) => {
    const [before, now] = [held.get(event.pointerId), placeIn(pane, event)];
    if (!before) return target.hover(now);
    if (isStill && Math.hypot(now[0] - before[0], now[1] - before[1]) < STILL) return undefined;
    if (isStill) pane.setPointerCapture(event.pointerId);
    isStill = false;
    const other = [...held].find(([id]) => id !== event.pointerId)?.[1];
    held.set(event.pointerId, now);
    return other ? pinch(target, other, before, now) : target.pan(now[0] - before[0], now[1] - before[1]);
  });
  pane.addEventListener("pointerup", (event) => {
    if (held.delete(event.pointerId) && isStill) target.press(placeIn(pane, event), event.target);
  });
  for (const name of ["pointercancel", "pointerleave"]) {
    pane.addEventListener(name, (event) => held.delete(event.pointerId));
  }
  pane.addEventListener("lostpointercapture", (event) => {
    if (event.target === pane) held.delete(event.pointerId); // a finger's first capture is lost to the pane's
  });
  pane.addEventListener("dblclick", (event) => target.pressTwice(placeIn(pane, event)));
  pane.addEventListener("wheel", (event) => turnWheel(pane, target, event), {passive: false});
}

function placeIn(pane, event) {
  const {left, top} = pane.getBoundingClientRect();
  return [event.clientX - left - pane.clientLeft, event.clientY - top - pane.clientTop];
}

// Where there is no more room to pan, the page scrolls.
function turnWheel(pane, target, event) {
  const unit = event.deltaMode === 1 ? 16 : 1;
  if (event.ctrlKey) target.zoom(Math.exp(-event.deltaY * unit * 0.01), placeIn(pane, event));
  if (event.ctrlKey || target.pan(-event.deltaX * unit, -event.deltaY * unit)) event.preventDefault();
}

// One finger of two has moved: what lies under both stays under both.
function pinch(target, other, before, now) {
  const far = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]) || 1;
  target.pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
  target.zoom(far(now) / far(before), [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]);
}
