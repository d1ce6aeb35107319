// Two models compared: what changed first, what follows from it folded. The page's switch says in whose terms it speaks.

import {setAttributes} from "./attributes.js";
import {element} from "./dom.js";
import {changeName, changedLayer, groupedChanges, isChangeOf, tellChanges} from "./pairs.js";
import {tellKind} from "./telling.js";

const CHANGES_AT_ONCE = 200;

// Fills an empty element with the comparison; choosing a change sets the store's node, and its model where need be.
export function mountChanges(root, doc, store) {
  root.classList.add("layer-changes");
  if (doc.models.length < 2) {
    root.append(
      element("p", {class: "layer-note", text: "There is one model in this file; a report of two compares them."}),
    );
    return;
  }
  const buttons = new Map();
  const groups = groupedChanges(doc.changes).map((group) => groupPart(group, doc, store, buttons));
  root.append(element("p", {class: "layer-count", text: `${tellChanges(doc.changes)}.`}), ...groups);
  const mark = () => markChanges(store.get(), buttons);
  mark();
  store.subscribe((_, changed) => {
    if (changed.includes("node") || changed.includes("model")) mark();
  });
}

function groupPart({kind, title, changes}, doc, store, buttons) {
  const list = element("ul", {class: "changes-list", "aria-label": title});
  const heading = `${title} (${changes.length.toLocaleString("en-US")})`;
  if (kind !== "inherited") {
    appendChanges(list, changes, 0, doc, store, buttons);
    return element("div", {class: `changes-group changes-${kind}`}, element("h2", {text: heading}), list);
  }
  const fill = () => {
    if (!list.childElementCount) appendChanges(list, changes, 0, doc, store, buttons);
  };
  return element(
    "details",
    {class: "changes-group changes-inherited", on: {toggle: fill}},
    element("summary", {text: heading}),
    list,
  );
}

// The next changes of a list, and a button for those after them.
function appendChanges(list, changes, from, doc, store, buttons) {
  const items = changes.slice(from, from + CHANGES_AT_ONCE).map((change) => {
    const button = changeButton(change, doc, store);
    buttons.set(button, change);
    setAttributes(button, {"aria-current": isChangeOf(change, store.get()) ? "true" : null});
    return element("li", {}, button);
  });
  list.append(...items);
  const left = changes.length - from - items.length;
  if (left <= 0) return;
  const more = element(
    "li",
    {},
    element("button", {type: "button", class: "layer-more", text: `${left.toLocaleString("en-US")} more`}),
  );
  more.firstChild.addEventListener("click", () => {
    more.remove();
    appendChanges(list, changes, from + items.length, doc, store, buttons);
    list.children[from + items.length].querySelector("button").focus();
  });
  list.append(more);
}

function changeButton(change, doc, store) {
  const {model, node} = changedLayer(change, 1);
  const choose = () => store.set(changedLayer(change, store.get().model));
  const [name, told] = [changeName(change, doc.models), change.told.replaceAll("->", "→")];
  return element(
    "button",
    {type: "button", class: "changes-item", on: {click: choose}},
    element("span", {class: "changes-name", text: name}),
    element("span", {class: "changes-kind", text: tellKind(doc.models[model].nodes[node])}),
    told === name ? null : element("span", {class: "changes-told", text: told}),
  );
}

// Marks the chosen layer's change.
function markChanges(state, buttons) {
  for (const [button, change] of buttons) {
    setAttributes(button, {"aria-current": isChangeOf(change, state) ? "true" : null});
  }
}
