// The document: everything that Python wrote into the page, as plain objects. Relations are read where they are asked.

import {Axes, Dependency} from "./dependency.js";
import {Field} from "./field.js";
import {Nominal} from "./nominal.js";
import {Numbers} from "./numbers.js";
import {Crossed, Paired, SomePairs, Stretched, Whole} from "./relations.js";

/** What this page reads. */
export const FORMAT = "fastrf explorer 1";
const FIGURES = ["size", "stride", "start", "padding"];

/** The document in a base64 text. Throws an Error for another one. */
export async function openDocument(text) {
  const packed = Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const length = new DataView(bytes.buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  if (header.format !== FORMAT) throw new Error(`the document has format ${header.format}, this page reads ${FORMAT}`);
  const store = new Store(header, bytes, 4 + length);
  const models = header.models.map((model) => readModel(model, store));
  return {format: header.format, version: header.version, title: header.title, image: header.image, models, changes: header.changes};
}

function readModel({nodes, ...model}, store) {
  return {...model, nodes: nodes.map((node, index) => readNode(node, index, store))};
}

function readNode({figures, field, ...node}, index, store) {
  const told = {...figures, sizeRange: figures.sizeRange.map((ends) => ends.map(Number)), clipped: Number(figures.clipped)};
  for (const name of FIGURES) told[name] = figures[name].map(Number);
  const found = {index, ...node, figures: told, field: null};
  if (field) lazily(found, "field", () => store.field(field, node.channelAxis));
  return found;
}

/** A member that is worked out where it is first asked for. */
function lazily(object, name, make) {
  Object.defineProperty(object, name, {
    configurable: true,
    enumerable: true,
    get() {
      const value = make();
      Object.defineProperty(object, name, {value, enumerable: true});
      return value;
    },
  });
}

/** The tables that nodes share. */
class Store {
  constructor(header, bytes, at) {
    Object.assign(this, {header, bytes, relations: [], dependencies: [], nominals: []});
    this.places = header.relations.map(([kind, ...rest]) => {
      const place = at;
      if (kind === 0 || kind === 2) at += rest[rest.length - 1];
      return place;
    });
  }

  field({neurons, positions, inputChannelAxis, nominal, looks}, channelAxis) {
    return new Field({
      neurons: this.dependency(neurons),
      positions: this.dependency(positions),
      channelAxis,
      inputChannelAxis,
      nominal: this.nominal(nominal),
      looks: looks.map((ends) => ends && ends.map(Number)),
    });
  }

  dependency(id) {
    if (!this.dependencies[id]) {
      const [axes, inputShape, terms] = this.header.dependencies[id];
      const found = new Dependency(new Axes(axes), Axes.of(inputShape), []);
      lazily(found, "terms", () => this.terms(found, terms));
      this.dependencies[id] = found;
    }
    return this.dependencies[id];
  }

  terms(found, ids) {
    if (found.from.sizes.includes(0) || found.to.sizes.includes(0)) return [];
    return ids.map((id) => this.header.terms[id].map((group) => {
      const [rows, cols, relation] = this.header.groups[group];
      return {rows, cols, relation: this.relation(relation)};
    }));
  }

  nominal(id) {
    this.nominals[id] ??= new Nominal(this.header.nominals[id].map(([offsets, axes, extents]) => ({
      offsets,
      axes: new Axes(axes),
      extents: extents.map((extent) => {
        const [phases, low, high] = this.header.extents[extent];
        return {phases, low: low.map(Number), high: high.map(Number)};
      }),
    })));
    return this.nominals[id];
  }

  relation(id) {
    this.relations[id] ??= this.read(this.header.relations[id], this.places[id]);
    return this.relations[id];
  }

  read([kind, ...told], place) {
    if (kind === 0) return Whole.read(this.bytes, place, told);
    if (kind === 1) return new Stretched(this.relation(told[0]), ...told.slice(1));
    if (kind === 3) return new Paired(this.relation(told[0]), this.relation(told[1]), told[2]);
    if (kind === 4) return new SomePairs(this.relation(told[0]));
    const [parts, nRows] = told;
    const numbers = new Numbers(this.bytes, place);
    const index = parts.map(() => {
      const own = new Int32Array(nRows);
      for (let r = 0, last = 0; r < nRows; r += 1) own[r] = last += numbers.signed();
      return own;
    });
    return new Crossed(parts.map((part) => this.relation(part)), index);
  }
}
