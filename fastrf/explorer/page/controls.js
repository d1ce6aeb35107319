// What of the layer is drawn: any channel of a position, or one neuron; and of the input all channels or one.

import {element, rove, write} from "./dom.js";
import {typedIndex} from "./words.js";

let fieldsMade = 0;

// A small number field with a label; `onNumber(null)` where it may be empty and is.
function channelField(label, onNumber, mayBeEmpty = false) {
  const id = `channel${(fieldsMade += 1)}`;
  const input = element("input", {
    id,
    type: "text",
    inputmode: "numeric",
    class: "typed short",
    autocomplete: "off",
    placeholder: mayBeEmpty ? "any" : null,
    "aria-describedby": `${id}-problem`,
  });
  const problem = element("span", {class: "problem", id: `${id}-problem`, "aria-live": "polite"});
  const of = element("span", {class: "quiet"});
  const root = element("span", {class: "labelled"}, element("label", {for: id, text: label}), input, of, problem);
  const field = {root, input, of, problem, size: 1, mayBeEmpty, onNumber};
  input.addEventListener("change", () => takeChannel(field));
  input.addEventListener("keydown", (event) => channelKey(field, event));
  return field;
}

function takeChannel({input, problem, size, mayBeEmpty, onNumber}) {
  if (mayBeEmpty && input.value.trim() === "") {
    onNumber(null);
    return;
  }
  const {index} = typedIndex(input.value, [size], "channel");
  input.setAttribute("aria-invalid", String(!index));
  write(problem, index ? "" : `A channel is a whole number from 0 to ${size - 1}.`);
  if (index) onNumber(index[0]);
}

function channelKey(field, event) {
  const by = {ArrowUp: 1, ArrowDown: -1}[event.key];
  if (event.key === "Enter") takeChannel(field);
  if (!by) return;
  event.preventDefault();
  const now = Number.parseInt(field.input.value, 10) || 0;
  field.onNumber(Math.max(0, Math.min(now + by, field.size - 1)));
}

function showChannel(field, value, size) {
  const {input, of, problem} = field;
  field.size = size;
  write(of, `of ${size}`);
  if (document.activeElement === input && input.getAttribute("aria-invalid") === "true") return;
  input.value = value ?? "";
  input.setAttribute("aria-invalid", "false");
  write(problem, "");
}

export function makeControls(store) {
  const radio = (text, title, choose) =>
    element("button", {type: "button", role: "radio", text, title, on: {click: choose}});
  const place = radio("Any channel", "What any channel of the position sees", () => store.set({neuron: null}));
  const neuron = radio("One neuron", "What one channel of the position sees, exactly", () => {
    if (store.get().neuron === null) store.set({neuron: 0});
  });
  const group = element("div", {class: "joined", role: "radiogroup", "aria-label": "Mask of"}, place, neuron);
  rove(group, "[role=radio]");
  const channel = channelField("channel", (value) => store.set({neuron: value}));
  const input = channelField("reading input channel", (inputChannel) => store.set({inputChannel}), true);
  const none = element("span", {class: "quiet", text: "no channels here"});
  const label = element("span", {class: "label", text: "Mask of"});
  const root = element("div", {class: "tools"}, label, group, channel.root, input.root, none);
  return {root, show: (state, node) => showControls({place, neuron, channel, input, none}, state, node)};
}

function showControls({place, neuron, channel, input, none}, state, {field}) {
  const one = state.neuron !== null;
  for (const [button, on] of [
    [place, !one],
    [neuron, one],
  ]) {
    button.setAttribute("aria-checked", String(on));
    button.tabIndex = on ? 0 : -1;
  }
  const hasChannels = Boolean(field) && field.channelAxis !== null;
  neuron.disabled = !hasChannels;
  none.hidden = !field || hasChannels;
  channel.root.hidden = !one;
  if (one) showChannel(channel, state.neuron, field.shape[field.channelAxis]);
  const inputs = one && field.inputChannelAxis !== null ? field.inputShape[field.inputChannelAxis] : 1;
  input.root.hidden = inputs < 2;
  if (inputs > 1) showChannel(input, state.inputChannel, inputs);
}
