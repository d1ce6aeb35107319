// What of a drawing is in view: {x, y, scale}, where a point p of the drawing stands at x + scale * p. No DOM.

export const MOST_SCALE = 2.5;

// The view zoomed by a factor about a point of the window.
export function zoomedAt(view, factor, [px, py], least) {
  const scale = Math.min(MOST_SCALE, Math.max(least, view.scale * factor));
  const by = scale / view.scale;
  return {x: px - (px - view.x) * by, y: py - (py - view.y) * by, scale};
}

// The view in which all of a drawing is in a window {left, width, height}, no larger than it is.
export function fittedView(drawing, window, margin = 20) {
  const across = (window.width - window.left - 2 * margin) / drawing.width;
  const scale = Math.max(1e-4, Math.min(1, across, (window.height - 2 * margin) / drawing.height));
  const left = window.left + (window.width - window.left - drawing.width * scale) / 2;
  return {x: left, y: (window.height - drawing.height * scale) / 2, scale};
}

// The view that a drawing opens with: whole where it is still legible, otherwise legible about a point, and full.
export function openingView(drawing, window, [px, py], legible = 0.6, margin = 20) {
  const fitted = fittedView(drawing, window, margin);
  if (fitted.scale >= legible) return fitted;
  const across = (window.width - window.left - 2 * margin) / drawing.width;
  const scale = Math.min(1, Math.max(legible, across));
  const full = (point, size, low, high) => {
    const room = high - low - 2 * margin - size * scale;
    if (room >= 0) return low + margin + room / 2;
    return Math.min(low + margin, Math.max(high - margin - size * scale, (low + high) / 2 - point * scale));
  };
  return {
    x: full(px, drawing.width, window.left, window.width),
    y: full(py, drawing.height, 0, window.height),
    scale,
  };
}

// The view moved as little as puts a box {x, y, width, height} of the drawing into the window.
export function revealingView(view, box, window, margin = 24) {
  const shift = (from, to, low, high) =>
    to - from > high - low ? (low + high - from - to) / 2 : Math.max(0, low - from) + Math.min(0, high - to);
  const [x, y] = [view.x + box.x * view.scale, view.y + box.y * view.scale];
  return {
    x: view.x + shift(x, x + box.width * view.scale, window.left + margin, window.width - margin),
    y: view.y + shift(y, y + box.height * view.scale, margin, window.height - margin),
    scale: view.scale,
  };
}

// The view moved so that some of the drawing stays in the window.
export function clampedView(view, drawing, window, kept = 60) {
  const clamp = (at, size, low, high) => Math.max(low + kept - size, Math.min(high - kept, at));
  return {
    x: clamp(view.x, drawing.width * view.scale, window.left, window.width),
    y: clamp(view.y, drawing.height * view.scale, 0, window.height),
    scale: view.scale,
  };
}

// The part of the drawing that a window shows and as much on every side: [left, top, right, bottom].
export function shownPart(view, window, around = 0.5) {
  const [aside, above] = [window.width * around, window.height * around];
  return [
    (0 - aside - view.x) / view.scale,
    (0 - above - view.y) / view.scale,
    (window.width + aside - view.x) / view.scale,
    (window.height + above - view.y) / view.scale,
  ];
}
