// Numbers and sentences: how the page says what is seen. No document here.

const WHOLE = new Intl.NumberFormat("en-US", {maximumFractionDigits: 0});
const FINE = new Intl.NumberFormat("en-US", {maximumFractionDigits: 6, useGrouping: false});
const SOME = new Intl.NumberFormat("en-US", {maximumFractionDigits: 2});

// A place on a continuous axis, such as a centre: sixths and eighths stand as they are. Indices, boxes and centres are
// lists: commas stand between their numbers, never in them.
export function coordinateWord(value) {
  return FINE.format(value);
}

// A number as a person reads it; NaN is "unknown", infinity "unbounded".
export function numberWord(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "unknown";
  if (!Number.isFinite(value)) return "unbounded";
  return (Number.isInteger(value) ? WHOLE : SOME).format(value);
}

export function shareWord(part, whole) {
  if (Number.isNaN(part) || !whole) return "unknown";
  const percent = (100 * part) / whole;
  if (percent === 0 || percent === 100) return `${percent} %`;
  return percent < 0.01 ? "< 0.01 %" : percent > 99.99 ? "> 99.99 %" : `${percent.toPrecision(3)} %`;
}

export function shapeWord(shape) {
  return shape.length ? shape.map((n) => WHOLE.format(n)).join(" × ") : "a single place";
}

export function placeWord(index) {
  return index.length ? index.map(String).join(", ") : "the whole";
}

// So many of something: "1 position", "2 positions".
export function countWord(count, one) {
  return `${numberWord(count)} ${one}${count === 1 ? "" : "s"}`;
}

export function axisWords(rank) {
  const known = {0: [], 1: ["step"], 2: ["row", "column"], 3: ["slice", "row", "column"]};
  return known[rank] ?? Array.from({length: rank}, (_, axis) => `axis ${axis}`);
}

// What elements of an input with so many axes are called.
export function unitWord(rank, count = 2) {
  const word = {0: "value", 1: "sample", 2: "pixel", 3: "voxel"}[rank] ?? "element";
  return count === 1 ? word : `${word}s`;
}

// "[0, 99) × [10, 120)", half-open as everywhere.
export function boxWord(box) {
  return box ? box.map(([low, high]) => `[${placeWord([low])},\u00a0${placeWord([high])})`).join(" × ") : "nothing";
}

export function sizeWord(box) {
  return box ? shapeWord(box.map(([low, high]) => high - low)) : "0";
}

// The runs [low, high, low, high, ...] as intervals, the first few of many.
export function runsWord(runs, most = 4) {
  if (!runs.length) return "nothing";
  const found = [];
  for (let k = 0; k < runs.length && k < 2 * most; k += 2) found.push(boxWord([[runs[k], runs[k + 1]]]));
  const left = runs.length / 2 - found.length;
  return found.join(", ") + (left > 0 ? ` and ${numberWord(left)} more` : "");
}

// The index that someone typed, or a sentence that says what would be one.
export function typedIndex(text, shape, what = "position") {
  const parts = text
    .trim()
    .split(/[\s,;x×]+/)
    .filter((part) => part !== "");
  const index = parts.map(Number);
  const wanted = `${shape.length} whole number${shape.length === 1 ? "" : "s"}`;
  if (index.length !== shape.length || !index.every(Number.isInteger)) {
    return {index: null, problem: `A ${what} here is ${wanted}: ${axisWords(shape.length).join(", ")}.`};
  }
  const axis = index.findIndex((i, k) => i < 0 || i >= shape[k]);
  if (axis < 0) return {index, problem: ""};
  const name = axisWords(shape.length)[axis];
  return {
    index: null,
    problem: `${name[0].toUpperCase()}${name.slice(1)} ${index[axis]} is outside 0 to ${shape[axis] - 1}.`,
  };
}

// One sentence for the live region: who is looked at, how much it sees, and where.
export function seenSentence({what, count, total, box, centre, unit, clipped}) {
  if (!box) return `${what} sees nothing of the input.`;
  const share = Number.isNaN(count) ? "" : ` (${shareWord(count, total)})`;
  const middle = centre ? ` Centre ${centre.map(coordinateWord).join(", ")}.` : "";
  const border = clipped ? " The border cuts it." : "";
  const much = `${what} sees ${numberWord(count)} of ${numberWord(total)} ${unit}${share}`;
  return `${much}, box ${boxWord(box)}, size ${sizeWord(box)}.${middle}${border}`;
}

// Text cut into lines of at most so many letters, at spaces.
export function wrappedLines(text, width) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines[lines.length - 1];
    if (line && line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = line ? `${line} ${word}` : word;
  }
  return lines.filter(Boolean);
}

// A name for a file: of letters, digits, dots and dashes.
export function fileName(text) {
  return (
    text
      .replace(/[^\w.-]+/g, "-")
      .replace(/^[-.]+|[-.]+$/g, "")
      .slice(0, 80) || "receptive-field"
  );
}
