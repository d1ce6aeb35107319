// Pins: places kept to be compared with the one that is looked at. The first one is drawn beside it.

import {element} from "./dom.js";
import {notify} from "./live.js";
import {MOST_PINS} from "./state.js";
import {placeWord} from "./words.js";

export function makePins(doc, store) {
  const list = element("ul", {class: "pin-list", "aria-label": "Pins"});
  const pinButton = element("button", {
    type: "button",
    class: "small",
    text: "Pin this",
    title: "Keep this place to compare with (key p)",
  });
  const exchangeButton = element("button", {
    type: "button",
    class: "small",
    text: "Exchange",
    title: "Go to the first pin and pin this place (key x)",
  });
  const clear = element("button", {type: "button", class: "small", text: "Clear pins"});
  const hint = element("span", {
    class: "quiet",
    text: "Pin a position, then point at another or choose another layer: both masks and what they share are drawn.",
  });
  const root = element("div", {class: "pins"}, pinButton, exchangeButton, clear, list, hint);
  const pins = {root, doc, store, list, hint, exchangeButton, clear, shown: ""};
  pins.pin = () => pinHere(pins);
  pins.exchange = () => exchangePins(pins);
  pins.show = (state) => showPins(pins, state);
  pinButton.addEventListener("click", pins.pin);
  exchangeButton.addEventListener("click", pins.exchange);
  clear.addEventListener("click", () => {
    store.set({pins: []});
    pinButton.focus();
  });
  return pins;
}

function pinOf({model, node, at, neuron}) {
  return neuron === null ? {model, node, at} : {model, node, at, neuron};
}

function pinWord(doc, {model, node, at, neuron}) {
  const told = doc.models.length > 1 ? `${["old", "new"][model]}: ` : "";
  const place = at.length ? ` at ${placeWord(at)}` : "";
  return `${told}${doc.models[model].nodes[node].name}${place}${neuron === undefined ? "" : `, channel ${neuron}`}`;
}

function pinHere({doc, store}) {
  const state = store.get();
  if (!state.at) return;
  const pin = pinOf({...state, at: state.hover ?? state.at});
  const others = state.pins.filter((one) => JSON.stringify(one) !== JSON.stringify(pin));
  store.set({pins: [pin, ...others].slice(0, MOST_PINS)});
  notify(`Pinned ${pinWord(doc, pin)}.`);
}

function goToPin(store, pin) {
  const {model, node, at} = pin;
  store.set({model, node});
  store.set({at, neuron: pin.neuron ?? null, hover: null});
}

function exchangePins({doc, store}) {
  const state = store.get();
  const [first, ...rest] = state.pins;
  if (!first || !state.at) return;
  store.set({pins: [pinOf(state), ...rest]});
  goToPin(store, first);
  notify(`Now at ${pinWord(doc, first)}.`);
}

function showPins(pins, {pins: places}) {
  const {doc, store, list} = pins;
  const shown = JSON.stringify(places);
  if (shown === pins.shown) return;
  pins.shown = shown;
  pins.exchangeButton.hidden = pins.clear.hidden = !places.length;
  pins.hint.hidden = places.length > 0;
  list.replaceChildren(...places.map((pin, k) => pinItem(doc, store, places, k)));
}

function pinItem(doc, store, places, k) {
  const pin = places[k];
  const word = pinWord(doc, pin);
  const rest = places.filter((_, other) => other !== k);
  const button = (kind, text, label, click) =>
    element("button", {type: "button", class: kind, text, title: label, "aria-label": label, on: {click}});
  return element(
    "li",
    {class: k ? "pin" : "pin compared"},
    element("span", {class: "swatch", "aria-hidden": "true"}),
    button("link", word, `${word}: go there`, () => goToPin(store, pin)),
    k ? button("small", "Compare", `Compare with ${word}`, () => store.set({pins: [pin, ...rest]})) : null,
    button("small", "×", `× remove the pin ${word}`, () => store.set({pins: rest})),
  );
}
