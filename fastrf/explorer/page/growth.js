// Receptive-field size through depth, beside the input's own size; a click or Enter chooses the layer.

import {setAttributes} from "./attributes.js";
import {envelopeOf, growthLimit, growthOf, nearestPoint, roundTicks, scaleOnto} from "./curves.js";
import {element, oncePerFrame, svgElement, write} from "./dom.js";
import {movedRow} from "./rows.js";
import {measuredInput, tellLayer, tellNumber, tellShape, unitOfAxes} from "./telling.js";

const PLOT = {left: 58, right: 22, top: 14, bottom: 40, band: 22};

// Fills an empty element with the plot; choosing a point sets the store's node.
export function mountGrowth(root, doc, store) {
  const plot = new GrowthPlot(root, doc, store);
  plot.showModel();
  store.subscribe((state, changed) => {
    if (changed.includes("model")) plot.showModel();
    else if (changed.includes("node")) plot.showChosen();
  });
}

class GrowthPlot {
  constructor(root, doc, store) {
    Object.assign(this, {doc, store, at: 0, hovered: -1});
    this.svg = svgElement("svg", {"aria-hidden": "true", focusable: "false"});
    this.pane = element(
      "div",
      {class: "growth-pane", role: "slider", tabindex: 0, "aria-label": "Layer, by depth", "aria-valuemin": 0},
      this.svg,
    );
    this.log = element("input", {type: "checkbox", id: "growth-log", on: {change: () => this.drawSoon()}});
    this.caption = element("p", {class: "growth-caption"});
    this.told = element("p", {class: "layer-told"});
    this.key = element("ul", {class: "growth-key", "aria-label": "Axes"});
    root.classList.add("layer-growth");
    const label = element("label", {for: "growth-log", class: "growth-switch"}, this.log, "Logarithmic");
    root.append(element("div", {class: "growth-head"}, this.caption, this.key, label), this.pane, this.told);
    this.drawSoon = oncePerFrame(() => this.draw());
    this.pane.addEventListener("keydown", (event) => this.onKey(event));
    this.pane.addEventListener("pointermove", (event) => this.hover(this.pointUnder(event)));
    this.pane.addEventListener("pointerleave", () => this.hover(-1));
    this.pane.addEventListener("click", (event) => this.choose(this.pointUnder(event)));
    new ResizeObserver(this.drawSoon).observe(this.pane);
  }

  get nodes() {
    return this.doc.models[this.store.get().model].nodes;
  }

  showModel() {
    const model = this.doc.models[this.store.get().model];
    this.extents = measuredInput(model).positionShape;
    this.growth = growthOf(model, this.extents);
    this.limit = growthLimit(this.growth);
    const own = this.growth.series.flatMap(({sizes}) => sizes).filter(Number.isFinite);
    const widest = own.reduce((most, size) => Math.max(most, size), 1);
    this.log.checked = this.limit > 3 * widest || widest > 4 * Math.max(1, ...this.extents);
    setAttributes(this.pane, {"aria-valuemax": Math.max(0, this.growth.nodes.length - 1)});
    this.caption.textContent = this.sentence();
    this.key.replaceChildren(...growthKey(this.growth));
    this.key.hidden = this.growth.series.length < 2;
    this.showChosen();
  }

  // Where fields are as large as the input, in words.
  sentence() {
    const {nodes, saturated, depths, deepest} = this.growth;
    if (!nodes.length || !this.extents.length) return "Nothing here has a size along an axis of the input.";
    const input = `the input, ${tellShape(this.extents)} ${unitOfAxes(this.extents.length)}`;
    if (saturated < 0) return `No field is as large as ${input}.`;
    const depth = `at depth ${tellNumber(depths[saturated])} of ${tellNumber(deepest)}`;
    return `The first field as large as ${input}, is that of ${this.nodes[saturated].name}, ${depth}.`;
  }

  showChosen() {
    this.moveTo(Math.max(0, this.growth.nodes.indexOf(this.store.get().node)));
  }

  moveTo(at) {
    this.at = at;
    const node = this.nodes[this.growth.nodes[at]];
    setAttributes(this.pane, {"aria-valuenow": at, "aria-valuetext": node ? this.tell(node) : "nothing"});
    this.showTold();
    this.drawSoon();
  }

  tell(node) {
    return `depth ${tellNumber(this.growth.depths[node.index])}: ${tellLayer(node)}`;
  }

  hover(at) {
    this.hovered = at;
    this.showTold();
    this.drawSoon();
  }

  showTold() {
    const node = this.nodes[this.growth.nodes[this.hovered < 0 ? this.at : this.hovered]];
    write(this.told, node ? this.tell(node) : "");
  }

  choose(at) {
    if (at < 0) return;
    this.moveTo(at);
    this.store.set({node: this.growth.nodes[at]});
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const key =
      {ArrowLeft: "ArrowUp", ArrowRight: "ArrowDown", ArrowUp: "ArrowDown", ArrowDown: "ArrowUp"}[event.key] ??
      event.key;
    const target = movedRow(key, this.at, this.growth.nodes.length, Math.ceil(this.growth.nodes.length / 20));
    if (target >= 0) this.moveTo(target);
    else if (event.key === "Enter" || event.key === " ") this.choose(this.at);
    else return;
    event.preventDefault();
  }

  pointUnder(event) {
    const {left, top} = this.pane.getBoundingClientRect();
    const at = nearestPoint(this.points ?? [], [event.clientX - left, event.clientY - top]);
    return at < 0 ? -1 : at % this.growth.nodes.length;
  }

  // Scales for the present size of the pane; sizes that are unbounded or unknown have a band of their own.
  scales() {
    const [width, height] = [this.pane.clientWidth, this.pane.clientHeight];
    const isLog = this.log.checked;
    const has = (wanted) => this.growth.series.some(({sizes}) => sizes.some(wanted));
    const bands = {
      unbounded: has((size) => size === Infinity) ? PLOT.band : 0,
      unknown: has(Number.isNaN) ? PLOT.band : 0,
    };
    const [top, bottom] = [PLOT.top + bands.unbounded, height - PLOT.bottom - bands.unknown];
    const x = scaleOnto(0, Math.max(1, this.growth.deepest), PLOT.left, width - PLOT.right);
    const finite = scaleOnto(isLog ? 1 : 0, this.limit * (isLog ? 1.2 : 1.05), bottom, top, isLog);
    const y = (size) =>
      Number.isNaN(size) ? bottom + PLOT.band / 2 : size === Infinity ? PLOT.top + PLOT.band / 2 : finite(size);
    return {width, height, top, bottom, bands, x, y, isLog};
  }

  draw() {
    if (!this.pane.clientWidth) return;
    const scales = this.scales();
    const {growth} = this;
    setAttributes(this.svg, {
      width: scales.width,
      height: scales.height,
      viewBox: `0 0 ${scales.width} ${scales.height}`,
    });
    const places = growth.series.map(({sizes}) =>
      growth.nodes.map((index, at) => [scales.x(growth.depths[index]), scales.y(sizes[at])]),
    );
    this.points = places.flat();
    const chosen = growth.nodes.indexOf(this.store.get().node);
    const marks = [
      ["chosen", chosen],
      ["cursor", this.hovered < 0 ? this.at : this.hovered],
    ].filter(([, at]) => at >= 0 && at < growth.nodes.length);
    this.svg.replaceChildren(
      ...growthAxes(growth, scales, this.limit, unitOfAxes(this.extents.length)),
      ...saturationLines(growth, scales),
      ...growth.series.flatMap((one, k) => growthSeries(growth, one, k, places[k], scales)),
      ...marks.flatMap(([name, at]) =>
        places.map((points) =>
          svgElement("circle", {
            class: `growth-${name}`,
            cx: points[at][0],
            cy: points[at][1],
            r: name === "chosen" ? 6 : 8,
          }),
        ),
      ),
    );
  }
}

function growthText(text, attributes) {
  return svgElement("text", {class: "growth-tick", "text-anchor": "middle", text, ...attributes});
}

function growthAxes({deepest}, scales, limit, unit) {
  const {width, height, top, bottom, bands, x, y, isLog} = scales;
  const across = roundTicks(0, deepest, Math.max(2, width / 90)).map((tick) =>
    growthText(tellNumber(tick), {x: x(tick), y: height - PLOT.bottom + 16}),
  );
  const up = roundTicks(isLog ? 1 : 0, limit, Math.max(2, (bottom - top) / 45), isLog).flatMap((tick) => [
    svgElement("path", {class: "growth-grid", d: `M${PLOT.left} ${y(tick)}H${width - PLOT.right}`}),
    growthText(tellNumber(tick), {x: PLOT.left - 7, y: y(tick) + 4, "text-anchor": "end"}),
  ]);
  const band = (name, value) =>
    bands[name] ? [svgElement("text", {class: "growth-band", x: PLOT.left + 4, y: y(value) + 4, text: name})] : [];
  const frame = `M${PLOT.left} ${PLOT.top}V${height - PLOT.bottom}H${width - PLOT.right}`;
  return [
    ...up,
    ...across,
    ...band("unbounded", Infinity),
    ...band("unknown", NaN),
    svgElement("path", {class: "growth-axis", d: frame}),
    growthText("depth, layers on the longest way", {x: (PLOT.left + width - PLOT.right) / 2, y: height - 6}),
    growthText(`field size, ${unit}`, {transform: `translate(12 ${(top + bottom) / 2}) rotate(-90)`}),
  ];
}

// The input's own size: a line for each, and a tint from the lowest on.
function saturationLines({series, saturated}, {width, top, y}) {
  const extents = [...new Set(series.map(({extent}) => extent))];
  if (!extents.length) return [];
  const lowest = y(Math.min(...extents));
  const namesOf = (extent) =>
    series
      .filter((one) => one.extent === extent)
      .map((one) => one.name)
      .join(" and ");
  return [
    svgElement("rect", {
      class: "growth-beyond",
      x: PLOT.left,
      y: top,
      width: Math.max(0, width - PLOT.left - PLOT.right),
      height: Math.max(0, lowest - top),
    }),
    ...extents.flatMap((extent) => [
      svgElement("path", {class: "growth-input", d: `M${PLOT.left} ${y(extent)}H${width - PLOT.right}`}),
      svgElement("text", {
        class: "growth-tick growth-label",
        x: width - PLOT.right - 4,
        y: y(extent) + (saturated < 0 ? -5 : 14), // the curve ends on the other side
        "text-anchor": "end",
        text: `input ${tellNumber(extent)}${extents.length > 1 ? `, ${namesOf(extent)}` : ""}`,
      }),
    ]),
  ];
}

// The widest size at every depth as a line, and a dot for every layer; shapes differ, as colours may not be told apart.
function growthSeries(growth, one, number, points, {x, y}) {
  const line = envelopeOf(growth, one)
    .map(([depth, size], at) => `${at ? "L" : "M"}${x(depth).toFixed(1)} ${y(size).toFixed(1)}`)
    .join("");
  const dots = points.map(([px, py]) => growthDot(px, py, number)).join("");
  return [
    svgElement("path", {class: `growth-line growth-${number % 3}`, d: line}),
    svgElement("path", {class: `growth-dots growth-${number % 3}`, d: dots}),
  ];
}

function growthDot(x, y, number) {
  const place = `M${x.toFixed(1)} ${y.toFixed(1)}`;
  return [
    `${place}m-2.5 0a2.5 2.5 0 1 0 5 0a2.5 2.5 0 1 0-5 0`,
    `${place}m-2.5-2.5h5v5h-5z`,
    `${place}m0-3.5l3.5 6h-7z`,
  ][number % 3];
}

// What marks stand for, where there is more than one kind.
function growthKey({series}) {
  if (series.length < 2) return [];
  return series.map(({name}, number) => {
    const mark = svgElement("path", {class: `growth-dots growth-${number % 3}`, d: growthDot(7, 7, number)});
    return element("li", {}, svgElement("svg", {width: 14, height: 14, "aria-hidden": "true"}, mark), name);
  });
}
