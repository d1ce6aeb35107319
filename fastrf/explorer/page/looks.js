// What the stage shows for the present state: looks, pins, who sees the pixel, and the slices.

import {lookFrom, pixelBox, seersOf, slicesShown} from "./looking.js";
import {shapeWord} from "./words.js";

export function nodeShown(stage, {model, node} = stage.store.get()) {
  return stage.doc.models[model].nodes[node];
}

// The look of the position, that of the first pin where it can be compared, and who sees the pixel.
export function looksNow(stage) {
  const state = stage.store.get();
  const node = nodeShown(stage, state);
  const at = state.hover ?? state.at;
  const mine = at && lookFrom(node.field, at, state.neuron, state.inputChannel);
  const [pin] = state.pins;
  const pinned = pin && nodeShown(stage, pin);
  const fits = pinned?.field && shapeWord(pinned.field.pixelShape) === shapeWord(node.field.pixelShape);
  const channel = pin && (pin.neuron ?? null);
  const other = fits ? lookFrom(pinned.field, pin.at, channel) : null;
  const seers = state.pixel && seersOf(node.field, state.pixel, state.neuron, state.inputChannel);
  return {state, node, at, mine, other, pin, pinned, fits, seers};
}

export function slicesNow({state, node, at, mine}) {
  const {positionShape, pixelShape} = node.field;
  return {
    map: slicesShown(positionShape, at ?? [], null),
    input: slicesShown(pixelShape, state.slice, mine && pixelBox(mine)),
  };
}
