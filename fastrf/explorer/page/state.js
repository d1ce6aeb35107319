// What is looked at: one store for the whole page, and the same as names in the address, so that a link shows it again.

import {centreOf, isIndexOf, scaledIndex} from "./geometry.js";
import {changedPlace, firstNode, firstState} from "./opening.js";

const TABS = ["stage", "areas", "density", "clipped", "blind", "matrix"];
const LISTS = ["table", "graph", "growth", "changes"];
export const THEMES = ["auto", "light", "dark"];
export const MOST_PINS = 6;
export const EVERY_SLICE = -1;
const ZOOMS = ["zoomMap", "zoomInput", "zoomMatrix"];
const MODEL_WORDS = ["old", "new"];

// A store of plain values. `settle(next, previous)` says what follows from a change before anyone hears of it.
export function makeStore(initial, settle = (next) => next) {
  let state = Object.freeze(settle({...initial}, null));
  const listeners = new Set();
  return {
    get: () => state,
    set(patch) {
      const next = settle({...state, ...patch}, state);
      const changed = Object.keys(next).filter((key) => !sameValue(next[key], state[key]));
      if (!changed.length) return;
      for (const key of Object.keys(next)) if (!changed.includes(key)) next[key] = state[key];
      state = Object.freeze(next);
      for (const listener of [...listeners]) listener(state, changed);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

function sameValue(one, other) {
  return Object.is(one, other) || (typeof one === "object" && JSON.stringify(one) === JSON.stringify(other));
}

// What follows from a change: positions, pixels and channels that the chosen layer has.
export function settler(doc) {
  return (next, previous) => {
    if (previous && next.model !== previous.model && next.node === previous.node) {
      next.node = twin(doc, previous.model, previous.node, next.model);
    }
    const field = doc.models[next.model].nodes[next.node].field;
    const before = previous && doc.models[previous.model].nodes[previous.node].field;
    if (!field) return {...next, at: null, pixel: null, neuron: null, hover: null, slice: []};
    const {positionShape, pixelShape} = field;
    if (!isIndexOf(next.at, positionShape)) {
      next.at = before && next.at ? scaledIndex(next.at, before.positionShape, positionShape) : centreOf(positionShape);
    } else if (before && before !== field && sameValue(next.at, previous.at)) {
      next.at = scaledIndex(next.at, before.positionShape, positionShape);
    }
    if (!isIndexOf(next.pixel, pixelShape) || !pixelShape.length) next.pixel = null;
    if (!isIndexOf(next.hover, positionShape) || (before && before !== field)) next.hover = null;
    next.neuron = withinAxis(next.neuron, field.shape, field.channelAxis);
    next.inputChannel =
      next.neuron === null ? null : withinAxis(next.inputChannel, field.inputShape, field.inputChannelAxis);
    next.slice = pixelShape.slice(0, -2).map((n, axis) => settledSlice(next.slice[axis], n));
    next.axes = [positionShape, pixelShape].map((shape, k) => Math.max(0, Math.min(next.axes[k], shape.length - 1)));
    if (before && before !== field && sameValue(next.zoomMap, previous.zoomMap)) next.zoomMap = null;
    if (before && before !== field && sameValue(next.zoomMatrix, previous.zoomMatrix)) next.zoomMatrix = null;
    if (before && !sameValue(before.pixelShape, pixelShape)) next.zoomInput = null;
    return next;
  };
}

function withinAxis(channel, shape, axis) {
  if (channel === null || axis === null) return null;
  return Number.isInteger(channel) && channel >= 0 ? Math.min(channel, shape[axis] - 1) : null;
}

// A slice is an index, `EVERY_SLICE`, or null: the one in the middle of what is seen.
function settledSlice(slice, n) {
  if (!Number.isInteger(slice)) return null;
  return slice === EVERY_SLICE ? slice : Math.max(0, Math.min(slice, n - 1));
}

// The same layer in the other model: as the comparison matched them, else by name, else the first shown.
function twin(doc, model, node, other) {
  const [here, there] = MODEL_WORDS[model] === "old" ? ["old", "new"] : ["new", "old"];
  const matched = doc.changes.find((change) => change[here] === node && change[there] !== null);
  if (matched) return matched[there];
  const {name} = doc.models[model].nodes[node];
  const named = doc.models[other].nodes.findIndex((candidate) => candidate.name === name);
  return named >= 0 ? named : firstNode(doc.models[other]);
}

// ---- The address ------------------------------------------------------------------------------------------------

const indexFromText = (text) => (text === "" ? [] : text.split(",").map(Number));
const indexText = (index) => index.join(",");
const windowText = (window) => window.map(([low, high]) => `${hundredths(low)}:${hundredths(high)}`).join(",");
const hundredths = (value) => Number(value.toFixed(2));

// The state as the part of an address behind "#": what differs from the first view, by name.
export function stateToHash(state, doc) {
  const first = firstState(doc);
  const found = new URLSearchParams();
  const nodes = doc.models[state.model].nodes;
  if (doc.models.length > 1) found.set("model", MODEL_WORDS[state.model]);
  found.set("layer", nodes[state.node].name);
  for (const key of ["tab", "list", "theme", "query"]) if (state[key] !== first[key]) found.set(key, state[key]);
  if (state.at?.length) found.set("at", indexText(state.at));
  if (state.pixel) found.set("pixel", indexText(state.pixel));
  if (state.neuron !== null) found.set("channel", state.neuron);
  if (state.inputChannel !== null) found.set("input", state.inputChannel);
  if (state.slice.some((slice) => slice !== null)) {
    found.set("slice", state.slice.map((s) => (s === null ? "auto" : s === EVERY_SLICE ? "all" : s)).join(","));
  }
  if (!sameValue(state.axes, first.axes)) found.set("axes", indexText(state.axes));
  for (const key of ZOOMS) if (state[key]) found.set(key, windowText(state[key]));
  for (const pin of state.pins) {
    const model = doc.models.length > 1 ? `${MODEL_WORDS[pin.model]}:` : "";
    const neuron = pin.neuron === undefined ? "" : `/${pin.neuron}`;
    found.append("pin", `${model}${indexText(pin.at)}${neuron}@${doc.models[pin.model].nodes[pin.node].name}`);
  }
  return found.toString();
}

// The state that an address tells, and what of it this file does not have, a sentence each.
export function stateFromHash(hash, doc) {
  const asked = new URLSearchParams(hash.replace(/^#/, ""));
  const problems = [];
  const state = firstState(doc);
  const model = MODEL_WORDS.indexOf(asked.get("model"));
  if (model >= 0 && model < doc.models.length) state.model = model;
  const layer = nodeNamed(doc, state.model, asked.get("layer"), problems);
  state.node = layer ?? (state.model === doc.models.length - 1 ? state.node : firstNode(doc.models[state.model]));
  for (const [key, known] of [
    ["tab", TABS],
    ["list", LISTS],
    ["theme", THEMES],
  ]) {
    const value = asked.get(key);
    if (known.includes(value)) state[key] = value;
    else if (value !== null)
      problems.push(`The link asks for the ${key} "${value}", which is none of ${known.join(", ")}.`);
  }
  state.query = asked.get("query") ?? "";
  const field = doc.models[state.model].nodes[state.node].field;
  if (field && layer === null && state.model > 0) state.at = changedPlace(doc, state.node);
  if (field) Object.assign(state, placesFromHash(asked, field, problems));
  state.pins = asked
    .getAll("pin")
    .map((text) => pinFromText(text, doc, problems))
    .filter(Boolean)
    .slice(0, MOST_PINS);
  return {state: settler(doc)(state, null), problems};
}

function nodeNamed(doc, model, name, problems) {
  if (name === null) return null;
  const index = doc.models[model].nodes.findIndex((node) => node.name === name);
  if (index < 0) problems.push(`The link names the layer "${name}", which is not in this file.`);
  return index < 0 ? null : index;
}

function placesFromHash(asked, field, problems) {
  const found = {};
  for (const [key, shape] of [
    ["at", field.positionShape],
    ["pixel", field.pixelShape],
  ]) {
    if (!asked.has(key)) continue;
    const index = indexFromText(asked.get(key));
    if (isIndexOf(index, shape)) found[key] = index;
    else
      problems.push(
        `The link asks for ${key} ${asked.get(key)}, which is outside ${shape.join(" x ") || "a single place"}.`,
      );
  }
  for (const [key, name] of [
    ["channel", "neuron"],
    ["input", "inputChannel"],
  ]) {
    if (asked.has(key)) found[name] = Number(asked.get(key));
  }
  if (asked.has("slice")) {
    found.slice = asked
      .get("slice")
      .split(",")
      .map((s) => (s === "auto" ? null : s === "all" ? EVERY_SLICE : Number(s)));
  }
  if (asked.has("axes") && indexFromText(asked.get("axes")).filter(Number.isInteger).length === 2) {
    found.axes = indexFromText(asked.get("axes"));
  }
  for (const key of ZOOMS) if (asked.has(key)) found[key] = windowFromText(asked.get(key));
  return found;
}

function windowFromText(text) {
  const window = text.split(",").map((part) => part.split(":").map(Number));
  const good =
    window.length === 2 &&
    window.every((ends) => ends.length === 2 && ends.every(Number.isFinite) && ends[0] < ends[1]);
  return good ? window : null;
}

function pinFromText(text, doc, problems) {
  const cut = text.indexOf("@");
  let [place, model] = [text.slice(0, Math.max(cut, 0)), doc.models.length - 1];
  const word = place.split(":")[0];
  if (doc.models.length > 1 && place.includes(":")) {
    model = Math.max(0, MODEL_WORDS.indexOf(word));
    place = place.slice(word.length + 1);
  }
  const node = nodeNamed(doc, model, text.slice(cut + 1), problems);
  if (node === null) return null;
  const {field} = doc.models[model].nodes[node];
  const [at, [neuron]] = [indexFromText(place.split("/")[0]), indexFromText(place.split("/")[1] ?? "")];
  if (!field || !isIndexOf(at, field.positionShape)) return null;
  const channels = field.channelAxis === null ? 0 : field.shape[field.channelAxis];
  return isIndexOf([neuron], [channels]) ? {model, node, at, neuron} : {model, node, at};
}
