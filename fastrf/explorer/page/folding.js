// Modules folded into one box each: what of a network's graph is shown. No DOM.
//
// A module is a prefix of `path` that several layers share. What folds must leave a graph without circles: a module
// that is left and entered again falls into parts, in the network's order.

const PATH_JOINT = "\u0001";

// Modules of two or more layers by key: {key, label, depth, first, last, count}, of several around the same layers the
// innermost. A layer that bears a module's own name, since the module returns it, is within.
export function modulesOf(nodes) {
  const modules = new Map();
  const prefixes = new Set(nodes.flatMap(({path}) => path.slice(1).map((_, depth) => moduleKey(path, depth + 1))));
  for (const node of nodes) {
    for (let depth = 1; depth <= node.path.length; depth++) {
      const key = moduleKey(node.path, depth);
      if (!prefixes.has(key)) continue;
      const module = modules.get(key) ?? {
        key,
        label: node.path.slice(0, depth).join("."),
        depth,
        first: node.index,
        count: 0,
      };
      module.last = node.index;
      module.count++;
      modules.set(key, module);
    }
  }
  for (const [key, {depth, count}] of modules) {
    const outer = modules.get(key.slice(0, key.lastIndexOf(PATH_JOINT)));
    if (depth > 1 && outer.count === count) outer.isShell = true;
  }
  for (const [key, {count, isShell}] of modules) if (count < 2 || isShell) modules.delete(key);
  return modules;
}

// Keys of the modules around a layer, outermost first.
export function modulesAround(node, modules) {
  return node.path.map((_, depth) => moduleKey(node.path, depth + 1)).filter((key) => modules.has(key));
}

// What a large network starts with: as deep as `limit` boxes allow; modules within folded ones are folded too.
export function startFolded(nodes, modules, limit = 100) {
  if (nodes.length <= limit || !modules.size) return new Set();
  const deepest = Math.max(...[...modules.values()].map((module) => module.depth));
  for (let depth = deepest; ; depth--) {
    const folded = new Set([...modules.values()].filter((module) => module.depth >= depth).map((module) => module.key));
    if (depth === 1 || boxCount(nodes, folded) <= limit) return folded;
  }
}

// Boxes and the edges among them: `boxes` in an order in which edges run forward, each {key, module, part, parts,
// nodes}, `boxOf` the box of every layer, `edges` pairs of boxes, each once.
export function foldedGraph(nodes, folded) {
  const groups = nodes.map((node) => outermostFolded(node, folded));
  const whole = numberedNames(groups);
  const circles = circularGroups(whole.count, edgesBetween(nodes, whole.of));
  const parted = numberedNames(groupParts(groups, whole.of, circles));
  const order = forwardOrder(parted.count, edgesBetween(nodes, parted.of));
  const place = Int32Array.from(order.keys());
  order.forEach((box, at) => (place[box] = at));
  const boxOf = parted.of.map((box) => place[box]);
  return {boxes: boxesOf(nodes, groups, boxOf, parted.count), boxOf, edges: edgesBetween(nodes, boxOf)};
}

function moduleKey(path, depth) {
  return path.slice(0, depth).join(PATH_JOINT);
}

function outermostFolded(node, folded) {
  for (let depth = 1; depth <= node.path.length; depth++) {
    const key = moduleKey(node.path, depth);
    if (folded.has(key)) return key;
  }
  return node.index;
}

function boxCount(nodes, folded) {
  return new Set(nodes.map((node) => outermostFolded(node, folded))).size;
}

// Numbers for names, in the order in which they come first.
function numberedNames(names) {
  const known = new Map();
  const of = Int32Array.from(names, (name) => {
    if (!known.has(name)) known.set(name, known.size);
    return known.get(name);
  });
  return {of, count: known.size};
}

function edgesBetween(nodes, boxOf) {
  const seen = new Set();
  const edges = [];
  for (const node of nodes) {
    for (const input of node.inputs) {
      const [from, to] = [boxOf[input], boxOf[node.index]];
      const code = from * nodes.length + to;
      if (from === to || seen.has(code)) continue;
      seen.add(code);
      edges.push([from, to]);
    }
  }
  return edges;
}

// For every group the number of the circle it lies on, negative for none: strongly connected groups, after Tarjan.
function circularGroups(count, edges) {
  const targets = Array.from({length: count}, () => []);
  for (const [from, to] of edges) targets[from].push(to);
  const [found, order, lowest] = [
    new Int32Array(count).fill(-1),
    new Int32Array(count).fill(-1),
    new Int32Array(count),
  ];
  const [open, calls, next] = [[], [], new Int32Array(count)];
  let met = 0;
  for (let start = 0; start < count; start++) {
    if (order[start] < 0) calls.push(start);
    while (calls.length) {
      const group = calls.at(-1);
      if (order[group] < 0) {
        order[group] = lowest[group] = met++;
        open.push(group);
      }
      const target = targets[group][next[group]++];
      if (target !== undefined) {
        if (order[target] < 0) calls.push(target);
        else if (found[target] === -1) lowest[group] = Math.min(lowest[group], order[target]);
        continue;
      }
      calls.pop();
      if (calls.length) lowest[calls.at(-1)] = Math.min(lowest[calls.at(-1)], lowest[group]);
      if (lowest[group] === order[group]) closeCircle(group, open, found);
    }
  }
  return found;
}

// Takes a circle from the stack: its groups get the number of the one it was entered by, a group alone gets -2.
function closeCircle(group, open, found) {
  const members = open.splice(open.indexOf(group));
  for (const member of members) found[member] = members.length > 1 ? group : -2;
}

// Names of groups in which those on a circle are told apart by run: a new part begins where another group of the circle
// stood between.
function groupParts(groups, of, circles) {
  const [running, parts] = [new Map(), new Map()];
  return groups.map((group, index) => {
    const circle = circles[of[index]];
    if (circle < 0) return `${group}`;
    if (running.get(circle) !== group) parts.set(group, (parts.get(group) ?? 0) + 1);
    running.set(circle, group);
    return `${group}${PATH_JOINT}${PATH_JOINT}${parts.get(group)}`;
  });
}

// Boxes so that every edge leads forward; of those that can come next, the first.
function forwardOrder(count, edges) {
  const targets = Array.from({length: count}, () => []);
  const waiting = new Int32Array(count);
  for (const [from, to] of edges) {
    targets[from].push(to);
    waiting[to]++;
  }
  const ready = [...waiting.keys()].filter((box) => !waiting[box]);
  for (let at = 0; at < ready.length; at++) {
    for (const to of targets[ready[at]]) if (!--waiting[to]) ready.push(to);
  }
  return ready;
}

function boxesOf(nodes, groups, boxOf, count) {
  const boxes = Array.from({length: count}, () => ({key: "", module: null, part: 1, parts: 1, nodes: []}));
  for (const node of nodes) boxes[boxOf[node.index]].nodes.push(node.index);
  const byModule = new Map();
  for (const box of boxes) {
    const group = groups[box.nodes[0]];
    if (typeof group === "string") {
      box.module = group;
      byModule.set(group, [...(byModule.get(group) ?? []), box]);
    }
  }
  for (const parts of byModule.values()) {
    parts
      .sort((a, b) => a.nodes[0] - b.nodes[0])
      .forEach((box, at) => Object.assign(box, {part: at + 1, parts: parts.length}));
  }
  for (const box of boxes) box.key = box.module === null ? `layer ${box.nodes[0]}` : `module ${box.module} ${box.part}`;
  return boxes;
}

// Brackets of the modules that stand open: {module, top, bottom, column}, inner ones further right, none over another.
export function openBrackets(modules, folded, boxOf, nodes, layout) {
  const found = new Map();
  for (const node of nodes) {
    const box = boxOf[node.index];
    for (const key of modulesAround(node, modules)) {
      if (folded.has(key)) break;
      const [top, bottom] = [layout.y[box], layout.y[box] + layout.boxHeight];
      const bracket = found.get(key) ?? {module: modules.get(key), top, bottom, column: 0};
      Object.assign(bracket, {top: Math.min(bracket.top, top), bottom: Math.max(bracket.bottom, bottom)});
      found.set(key, bracket);
    }
  }
  return inColumns([...found.values()], modules, nodes);
}

function inColumns(brackets, modules, nodes) {
  const columns = new Map();
  const ends = [];
  for (const bracket of brackets.sort((a, b) => a.module.depth - b.module.depth || a.top - b.top)) {
    const around = modulesAround(nodes[bracket.module.first], modules).map((key) => columns.get(key) ?? -1);
    let column = Math.max(-1, ...around) + 1;
    while ((ends[column] ?? []).some(([top, bottom]) => top < bracket.bottom && bottom > bracket.top)) column++;
    (ends[column] ??= []).push([bracket.top, bracket.bottom]);
    columns.set(bracket.module.key, column);
    bracket.column = column;
  }
  return brackets;
}
