// Figures as people read them: "unbounded" and "unknown" are said, never shown as Infinity or NaN. No DOM.

const TEN_DIGITS = new Intl.NumberFormat("en-US", {maximumFractionDigits: 10});

// A number: thousands apart, ten digits at most.
export function tellNumber(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "unknown";
  if (!Number.isFinite(value)) return "unbounded";
  return TEN_DIGITS.format(Number(value.toPrecision(10))).replace("-", "−");
}

// What axes have: one value where all agree, otherwise each.
export function tellAxes(values) {
  return agreeingAxes(values.map(tellNumber));
}

// The smallest and largest size per axis, one where they are equal.
export function tellRanges(ranges, to = " to ") {
  const told = ([low, high]) =>
    Object.is(low, high) ? tellNumber(high) : `${tellNumber(low)}${to}${tellNumber(high)}`;
  return agreeingAxes(ranges.map(told));
}

// A shape, every axis.
export function tellShape(shape) {
  return shape.map(tellNumber).join(" × ") || "scalar";
}

// A count in three figures: 1.03G, 1.22M, 9.41k.
export function tellBriefly(value) {
  if (value === null || !Number.isFinite(value) || value < 1000) return tellNumber(value);
  const power = Math.min(Math.floor(Math.log10(Number(value.toPrecision(3))) / 3), 5);
  return (value / 1000 ** power).toPrecision(3) + "kMGTP"[power - 1];
}

// A share in percent; what is not quite nothing or not quite all is not rounded to it.
export function tellShare(value) {
  if (value === null || Number.isNaN(value)) return "unknown";
  if (value === 0 || value === 1) return `${100 * value}%`;
  if (value < 0.001) return "< 0.1%";
  return value > 0.999 ? "> 99.9%" : `${(100 * value).toFixed(1)}%`;
}

// What a layer is made by: the class of its module, or its operator.
export function tellKind(node) {
  return node.module || node.op;
}

// What sizes along this many axes are counted in.
export function unitOfAxes(axes, count = 2) {
  const unit = {0: "value", 1: "sample", 2: "pixel", 3: "voxel"}[axes] ?? "element";
  return count === 1 ? unit : `${unit}s`;
}

// A size with its unit; words stand alone.
export function tellUnit(text, axes) {
  const unit = unitOfAxes(axes, text === "1" ? 1 : 2);
  return ["unknown", "unbounded", "none"].includes(text) ? text : `${text} ${unit}`;
}

// The layer that everything is measured against.
export function measuredInput(model) {
  return model.nodes.find((node) => node.name === model.wrt) ?? model.nodes[0];
}

// The widest share of the input that a layer's field spans; NaN where that is unknown.
export function spannedShare(node, extents) {
  const shares = node.figures.size.map((size, axis) => size / extents[axis]);
  return shares.length ? Math.max(...shares) : NaN;
}

const SPAN_STEPS = [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1];

// The colour of a layer: "0" to "5" by the share of the input that it spans, "unbounded" or "unknown".
export function spanClass(node, extents) {
  const share = spannedShare(node, extents);
  if (Number.isNaN(share)) return "unknown";
  if (share === Infinity) return "unbounded";
  const step = SPAN_STEPS.findIndex((limit) => share < limit);
  return String(step < 0 ? SPAN_STEPS.length : step);
}

// A line about a layer, for those who hover it and those who hear it.
export function tellLayer(node) {
  const axes = node.figures.size.length;
  const size = axes ? `, field ${tellUnit(tellAxes(node.figures.size), axes)}` : "";
  return `${node.name}, ${tellKind(node)}, ${tellShape(node.shape)}${size}, ${node.exact ? "exact" : "not exact"}`;
}

function agreeingAxes(texts) {
  if (!texts.length) return "none";
  return texts.every((text) => text === texts[0]) ? texts[0] : texts.join(" × ");
}
