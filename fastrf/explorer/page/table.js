// The table of layers: searched, sorted by its headers, only rows in view are in the page.

import {setAttributes} from "./attributes.js";
import {element, oncePerFrame, write} from "./dom.js";
import {
  LAYER_COLUMNS,
  columnParts,
  columnsWithin,
  matchingRows,
  movedRow,
  nextDirection,
  rowWindow,
  scrolledTo,
  sortedRows,
} from "./rows.js";

const TABLE_ROW = 32;

// Fills an empty element with the table; choosing a row sets the store's node.
export function mountTable(root, doc, store) {
  const table = new LayerTable(root, doc, store);
  table.refresh();
  store.subscribe((state, changed) => table.follow(state, new Set(changed)));
}

class LayerTable {
  constructor(root, doc, store) {
    Object.assign(this, {doc, store, columns: LAYER_COLUMNS, rows: [], cursor: 0, sort: {key: "", direction: "none"}});
    this.shown = new Map();
    this.isWide = matchMedia("(min-width: 720px)"); // narrower screens drop columns, wider ones scroll aside
    this.search = element("input", {
      type: "search",
      id: "layer-query",
      autocomplete: "off",
      spellcheck: "false",
      placeholder: "name, operator, not-exact",
      on: {input: () => store.set({query: this.search.value})},
    });
    this.count = element("output", {class: "layer-count", for: "layer-query", role: "status"});
    this.head = element("div", {role: "row", "aria-rowindex": 1, class: "layer-row layer-head"});
    this.body = element("div", {role: "rowgroup", class: "layer-body"});
    this.grid = element(
      "div",
      {role: "grid", tabindex: 0, class: "layer-grid", "aria-label": "Layers", "aria-colcount": LAYER_COLUMNS.length},
      element("div", {role: "rowgroup", class: "layer-heads"}, this.head),
      this.body,
    );
    const label = element("label", {for: "layer-query", text: "Find layers"});
    root.classList.add("layer-table");
    root.append(element("div", {class: "layer-search"}, label, this.search, this.count), this.grid);
    this.drawSoon = oncePerFrame(() => this.draw());
    this.grid.addEventListener("scroll", this.drawSoon, {passive: true});
    this.grid.addEventListener("keydown", (event) => this.onKey(event));
    this.body.addEventListener("click", (event) => this.onClick(event));
    new ResizeObserver(() => this.resize()).observe(this.grid);
  }

  get nodes() {
    return this.doc.models[this.store.get().model].nodes;
  }

  // What another part of the page, or this one, has set.
  follow(state, changed) {
    if (changed.has("model") || changed.has("query")) this.refresh();
    else if (changed.has("node")) this.showChosen();
    else if (changed.has("list")) this.resize();
  }

  // Finds and orders the rows anew.
  refresh() {
    const {query = ""} = this.store.get();
    if (this.search.value !== query) this.search.value = query;
    this.rows = sortedRows(this.nodes, matchingRows(this.nodes, query), this.sort.key, this.sort.direction);
    const all = this.nodes.length;
    const [found, total] = [this.rows.length, all].map((count) => count.toLocaleString("en-US"));
    write(this.count, this.rows.length === all ? `${total} layers` : `${found} of ${total} layers`);
    setAttributes(this.grid, {"aria-rowcount": this.rows.length + 1});
    this.body.style.height = `${this.rows.length * TABLE_ROW}px`;
    this.shown.clear();
    this.body.replaceChildren();
    this.heads();
    this.showChosen();
  }

  // Puts the cursor on the chosen layer's row, where it is among the rows, and scrolls to it.
  showChosen() {
    const at = this.rows.indexOf(this.store.get().node);
    this.moveTo(at < 0 ? Math.min(this.cursor, Math.max(0, this.rows.length - 1)) : at);
  }

  moveTo(row) {
    this.cursor = row;
    const height = this.grid.clientHeight - this.head.offsetHeight;
    if (height > 0) this.grid.scrollTop = scrolledTo(row, this.grid.scrollTop, height, TABLE_ROW);
    this.draw();
  }

  resize() {
    const columns = this.isWide.matches ? LAYER_COLUMNS : columnsWithin(this.grid.clientWidth);
    if (columns.length !== this.columns.length) {
      this.columns = columns;
      this.shown.clear();
      this.body.replaceChildren();
    }
    this.heads();
    this.moveTo(this.cursor);
  }

  heads() {
    const parts = columnParts(this.columns, this.grid.clientWidth);
    this.grid.style.setProperty("--layer-columns", parts.map((part) => `minmax(0, ${part}fr)`).join(" "));
    this.grid.style.scrollPaddingLeft = `${parts[0]}px`; // names stay at the left, over what is scrolled
    this.grid.style.setProperty("--layer-width", `${parts.reduce((a, b) => a + b, 0)}px`);
    const focused = this.head.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    this.head.replaceChildren(...this.columns.map((column) => this.headOf(column)));
    if (focused) this.head.querySelector(`[data-key="${focused}"]`)?.focus();
  }

  headOf(column) {
    const direction = this.sort.key === column.key ? this.sort.direction : "none";
    const mark = element("span", {
      "aria-hidden": "true",
      class: "layer-mark",
      text: {none: "", ascending: "▲", descending: "▼"}[direction],
    });
    const button = element(
      "button",
      {type: "button", "data-key": column.key, on: {click: () => this.sortBy(column.key, nextDirection(direction))}},
      column.label,
      mark,
    );
    return element(
      "div",
      {
        role: "columnheader",
        class: `layer-cell column-${column.key}`,
        "aria-colindex": LAYER_COLUMNS.indexOf(column) + 1,
        "aria-sort": direction,
      },
      button,
    );
  }

  sortBy(key, direction) {
    this.sort = {key, direction};
    this.refresh();
  }

  // Puts rows in view into the page and takes others out; the cursor's row stays, as it is named to assistive tools.
  draw() {
    const [first, last] = rowWindow(this.grid.scrollTop, this.grid.clientHeight, TABLE_ROW, this.rows.length);
    const wanted = new Set(this.rows.length ? [this.cursor] : []);
    for (let row = first; row < last; row++) wanted.add(row);
    const spare = [...this.shown].filter(([row]) => !wanted.has(row));
    let next = null;
    for (const row of [...wanted].sort((a, b) => b - a)) {
      const line = this.shown.get(row) ?? this.lineOf(row, spare);
      if (line.nextSibling !== next || !line.parentNode) this.body.insertBefore(line, next);
      next = line;
    }
    for (const [row, line] of spare) {
      line.remove();
      this.shown.delete(row);
    }
    this.mark();
  }

  // A row's element: one that is no longer in view, where there is one, since to fill it is cheaper than to make it.
  lineOf(row, spare) {
    const [before, line] = spare.pop() ?? [-1, emptyLine(this.columns)];
    this.shown.delete(before);
    this.shown.set(row, line);
    const node = this.nodes[this.rows[row]];
    setAttributes(line, {id: `layer-row-${row}`, "data-row": row, "aria-rowindex": row + 2});
    line.classList.toggle("layer-inexact", !node.exact);
    line.style.top = `${row * TABLE_ROW}px`;
    this.columns.forEach((column, at) => fillCell(line.children[at], node, column));
    return line;
  }

  mark() {
    const chosen = this.store.get().node;
    for (const [row, line] of this.shown) {
      setAttributes(line, {"aria-selected": String(this.rows[row] === chosen)});
      line.classList.toggle("layer-cursor", row === this.cursor);
    }
    setAttributes(this.grid, {"aria-activedescendant": this.shown.get(this.cursor)?.id ?? null});
  }

  onClick(event) {
    const line = event.target.closest("[data-row]");
    if (!line) return;
    this.cursor = Number(line.dataset.row);
    this.choose();
  }

  onKey(event) {
    if (event.target !== this.grid || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.grid.clientHeight / TABLE_ROW) - 2);
    const target = movedRow(event.key, this.cursor, this.rows.length, page);
    if (target >= 0) this.moveTo(target);
    else if (event.key === "Enter" || event.key === " ") this.choose();
    else return;
    event.preventDefault();
  }

  choose() {
    if (this.rows.length) this.store.set({node: this.rows[this.cursor]});
    this.mark();
  }
}

function emptyLine(columns) {
  const cells = columns.map(({key}, at) => {
    const parts = key === "name" ? ["layer-start", "layer-end"].map((name) => element("span", {class: name})) : [];
    const index = LAYER_COLUMNS.indexOf(columns[at]) + 1;
    return element("div", {role: "gridcell", class: `layer-cell column-${key}`, "aria-colindex": index}, ...parts);
  });
  return element("div", {role: "row", class: "layer-row"}, ...cells);
}

// Of a name that is too long the beginning is shortened, since its end tells layers apart.
function fillCell(cell, node, column) {
  const text = column.text(node);
  setAttributes(cell, {title: column.full?.(node) ?? text});
  const cut = Math.max(0, text.length - 14);
  if (column.key !== "name") return write(cell, text);
  write(cell.firstChild, text.slice(0, cut));
  return write(cell.lastChild, text.slice(cut));
}
