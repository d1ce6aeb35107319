// The page's start: opens the document, wires the parts to one store, keeps the address, shows what goes wrong.

import {mountChanges} from "./changes.js";
import {element, rove, write} from "./dom.js";
import {openDocument} from "./engine/document.js";
import {copyLink, downloadPng, downloadSvg} from "./exporting.js";
import {mountFacts} from "./facts.js";
import {mountGraph} from "./graph.js";
import {mountGrowth} from "./growth.js";
import {mountMaps} from "./heat.js";
import {showHelp} from "./help.js";
import {notify, showProblem} from "./live.js";
import {mountMatrix} from "./matrix.js";
import {mountStage} from "./stage.js";
import {THEMES, makeStore, settler, stateFromHash, stateToHash} from "./state.js";
import {mountTable} from "./table.js";
import {makeTabs} from "./tabs.js";
import {fileName, shapeWord} from "./words.js";

const byId = (id) => document.getElementById(id);
const MODEL_TITLES = ["Old", "New"];
const MAP_TABS = [
  ["areas", "Areas"],
  ["density", "Density"],
  ["clipped", "Clipped"],
  ["blind", "Blind spots"],
];

function listenForFailures() {
  const told = (reason) => showProblem(`Something failed in this page: ${reason?.message ?? reason}`);
  globalThis.addEventListener("error", (event) => {
    if (!String(event.message).startsWith("ResizeObserver")) told(event.error ?? event.message);
  });
  globalThis.addEventListener("unhandledrejection", (event) => told(event.reason));
}

async function openedDocument() {
  if (typeof DecompressionStream === "undefined") {
    showProblem("This browser cannot unpack the page's data (no DecompressionStream); use one of 2023 or later.");
    return null;
  }
  try {
    return await openDocument(byId("fastrf-document").textContent);
  } catch (error) {
    showProblem(`The data of this page cannot be read (${error.message}); write the report again.`);
    return null;
  }
}

function start(doc) {
  const {state, problems} = stateFromHash(globalThis.location.hash, doc);
  problems.forEach(showProblem);
  const store = makeStore(state, settler(doc));
  globalThis.fastrf = {doc, store};
  showTheme(state.theme);
  const shell = wireShell(doc, store);
  const show = () => showShell(shell, doc, store.get());
  store.subscribe((now, changed) => {
    if (changed.includes("theme")) showTheme(now.theme);
    if (changed.some((key) => ["tab", "list", "node", "model", "theme"].includes(key))) show();
  });
  show();
  mountFacts(byId("facts"), doc, store);
  keepAddress(doc, store);
}

function wireShell(doc, store) {
  document.title = `${doc.title} · receptive fields`;
  write(byId("title"), doc.title);
  const shell = {picture: null, models: modelSwitch(doc, store)};
  const lists = [
    ["table", "Table", mountTable],
    ["graph", "Graph", mountGraph],
    ["growth", "Growth", mountGrowth],
  ];
  if (doc.models.length > 1) lists.unshift(["changes", "Changes", mountChanges]);
  shell.lists = makeTabs(
    byId("list-tabs"),
    byId("list-panels"),
    lists.map(([key, label, mount]) => ({
      key,
      label,
      mount: (root) => mount(root, doc, store),
    })),
    (list) => store.set({list}),
  );
  shell.views = makeTabs(
    byId("view-tabs"),
    byId("view-panels"),
    [
      {key: "stage", label: "Seen", mount: (root) => mountStage(root, doc, store)},
      ...MAP_TABS.map(([key, label]) => ({key, label, mount: (root) => mountMaps(root, doc, store, key)})),
      {key: "matrix", label: "Matrix", mount: (root) => mountMatrix(root, doc, store)},
    ],
    (tab) => store.set({tab}),
  );
  wireActions(shell, doc, store);
  return shell;
}

function modelSwitch(doc, store) {
  if (doc.models.length < 2) return [];
  const group = byId("models");
  group.hidden = false;
  const alike = doc.models[0].name === doc.models[1].name;
  const buttons = doc.models.map((model, k) =>
    element("button", {
      type: "button",
      role: "radio",
      text: alike ? MODEL_TITLES[k] : `${MODEL_TITLES[k]}: ${model.name}`,
      title: `${MODEL_TITLES[k]}: ${model.name}`,
      on: {click: () => store.set({model: k})},
    }),
  );
  group.append(...buttons);
  rove(group, "[role=radio]");
  return buttons;
}

function showShell(shell, doc, state) {
  const model = doc.models[state.model];
  const node = model.nodes[state.node];
  write(byId("layer"), node.name);
  const of = node.field ? ` · measured against ${model.wrt} ${shapeWord(node.field.inputShape)}` : "";
  write(byId("layer-told"), `${node.module || node.op} · output ${shapeWord(node.shape)}${of}`);
  shell.models.forEach((button, k) => {
    button.setAttribute("aria-checked", String(k === state.model));
    button.tabIndex = k === state.model ? 0 : -1;
  });
  shell.lists.show(state.list);
  shell.shown = shell.views.show(state.tab);
}

function wireActions(shell, doc, store) {
  const dialog = byId("keys");
  const heading = () => {
    const {model, node, tab} = store.get();
    const kind = tab === "stage" ? "" : `, ${tab}`;
    return `${doc.models[model].nodes[node].name}${kind}, ${doc.models[model].name}`;
  };
  const download = (save) => async () => {
    const picture = shell.shown?.picture?.();
    if (!picture) return notify("There is no picture to save here.");
    return save(picture, heading(), fileName(heading()));
  };
  byId("png").addEventListener("click", download(downloadPng));
  byId("svg").addEventListener("click", download(downloadSvg));
  byId("copy").addEventListener("click", () => copyLink(dialog, `#${stateToHash(store.get(), doc)}`));
  byId("help").addEventListener("click", () => showHelp(dialog));
  byId("theme").addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(store.get().theme) + 1) % THEMES.length];
    store.set({theme: next});
    notify(`Theme: ${next}.`);
  });
  listenForHelp(dialog);
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault();
    byId("view").focus();
  });
}

// A question mark opens the keys, where something of the page has the focus and nobody types.
function listenForHelp(dialog) {
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (
      event.key !== "?" ||
      typing ||
      event.target === document.body ||
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      dialog.open
    )
      return;
    event.preventDefault();
    showHelp(dialog);
  });
}

function showTheme(theme) {
  const root = document.documentElement;
  if (theme === "auto") delete root.dataset.theme;
  else root.dataset.theme = theme;
  write(byId("theme-name"), theme);
}

// ---- The address ------------------------------------------------------------------------------------------------

function keepNow(doc, store) {
  const hash = `#${stateToHash(store.get(), doc)}`;
  if (hash === globalThis.location.hash) return;
  try {
    globalThis.history.replaceState(null, "", hash);
  } catch {
    // A frame without an address of its own, as in a notebook, keeps none.
  }
}

function keepAddress(doc, store) {
  let waiting = 0;
  store.subscribe((_, changed) => {
    if (changed.every((key) => key === "hover")) return;
    clearTimeout(waiting);
    waiting = setTimeout(() => keepNow(doc, store), 200);
  });
  globalThis.addEventListener("hashchange", () => {
    const {state, problems} = stateFromHash(globalThis.location.hash, doc);
    problems.forEach(showProblem);
    store.set(state);
  });
}

listenForFailures();
const opened = await openedDocument();
if (opened) start(opened);
