// A layered drawing of a graph without circles: ranks from top to bottom, long edges in lanes. No DOM.
//
// A box stands below all that it reads. Boxes that follow each other straight down form a strip, which keeps one column
// of cells; an edge that passes ranks runs down a lane, one for all that read the same box. Strips and lanes take the
// free cells nearest to the middle of what they join, lanes the shorter first, so that longer ones lie around them.

export const BOX = {width: 172, height: 44, gap: 34, cell: 14};
const HALF_BOX = 7; // cells of a box on either side of its middle, and the space beside it

// The drawing of boxes 0..count-1 with edges [from, to], from lower numbers to higher: {ranks, rows, x, y, edges, width,
// height}; x is a box's middle, y its top, and `edges` holds {from, to, lane}, of which `lane` is an x or null.
export function layoutGraph(count, edges) {
  const graph = linkedBoxes(count, edges);
  const ranks = boxRanks(graph);
  const strips = stripsOf(graph, ranks);
  const cells = bestColumns(graph, strips);
  const lanes = placedLanes(graph, ranks, strips, cells);
  return drawnLayout(graph, ranks, cells, lanes);
}

// The path of an edge, from below its source to above its target.
export function edgePath(layout, {from, to, lane}) {
  const [x0, y0, x1, y1] = [layout.x[from], layout.y[from] + BOX.height, layout.x[to], layout.y[to]];
  if (lane === null) return `M${x0} ${y0}${edgeBend(x0, y0, x1, y1)}`;
  const [top, bottom] = [y0 + BOX.gap, y1 - BOX.gap];
  return `M${x0} ${y0}${edgeBend(x0, y0, lane, top)}V${bottom}${edgeBend(lane, bottom, x1, y1)}`;
}

// The box at a point, or -1.
export function boxAt(layout, x, y) {
  const rank = Math.floor(y / (BOX.height + BOX.gap));
  for (const box of layout.rows[rank] ?? []) {
    if (Math.abs(layout.x[box] - x) <= BOX.width / 2 && y - layout.y[box] <= BOX.height) return box;
  }
  return -1;
}

// The ranks, first and last, that lie between two heights.
export function ranksBetween(layout, top, bottom) {
  const step = BOX.height + BOX.gap;
  return [Math.max(0, Math.floor(top / step)), Math.min(layout.rows.length - 1, Math.floor(bottom / step))];
}

// The box that an arrow key leads to, or the box itself: along the nearest edge up or down, beside it left or right.
export function boxBeside(layout, box, key) {
  const near = (boxes) =>
    boxes.reduce(
      (best, other) =>
        Math.abs(layout.x[other] - layout.x[box]) < Math.abs(layout.x[best] - layout.x[box]) ? other : best,
      boxes[0],
    );
  const row = layout.rows[layout.ranks[box]];
  const choices = {
    ArrowUp: () => nearestBoxes(layout.sources[box], (other) => layout.ranks[box] - layout.ranks[other]),
    ArrowDown: () => nearestBoxes(layout.targets[box], (other) => layout.ranks[other] - layout.ranks[box]),
    ArrowLeft: () => row.filter((other) => layout.x[other] < layout.x[box]),
    ArrowRight: () => row.filter((other) => layout.x[other] > layout.x[box]),
  }[key];
  return near(choices?.() ?? []) ?? box;
}

function nearestBoxes(boxes, distance) {
  const least = Math.min(...boxes.map(distance));
  return boxes.filter((box) => distance(box) === least);
}

function edgeBend(x0, y0, x1, y1) {
  if (x0 === x1) return `V${y1}`;
  const middle = (y0 + y1) / 2;
  return `C${x0} ${middle} ${x1} ${middle} ${x1} ${y1}`;
}

function linkedBoxes(count, edges) {
  const [sources, targets] = [0, 1].map(() => Array.from({length: count}, () => []));
  for (const [from, to] of edges) {
    targets[from].push(to);
    sources[to].push(from);
  }
  return {count, edges, sources, targets};
}

// The longest path to every box; what reads nothing stands right above its first reader.
function boxRanks({count, sources, targets}) {
  const ranks = new Int32Array(count);
  for (let box = 0; box < count; box++)
    for (const from of sources[box]) ranks[box] = Math.max(ranks[box], ranks[from] + 1);
  for (let box = 0; box < count; box++) {
    if (sources[box].length || !targets[box].length) continue;
    ranks[box] = targets[box].reduce((least, to) => Math.min(least, ranks[to]), Infinity) - 1;
  }
  return ranks;
}

// Strips {boxes, first, last}: every box goes on into the reader below it that has most to come.
function stripsOf({count, sources, targets}, ranks) {
  const [toCome, length] = [new Int32Array(count), new Int32Array(count).fill(1)];
  const heirs = new Int32Array(count).fill(-1);
  for (let box = count - 1; box >= 0; box--) {
    for (const to of targets[box]) {
      toCome[box] = Math.max(toCome[box], toCome[to] + 1);
      if (ranks[to] === ranks[box] + 1 && (heirs[box] < 0 || toCome[to] > toCome[heirs[box]])) heirs[box] = to;
    }
  }
  const [strips, stripOf] = [[], new Int32Array(count).fill(-1)];
  for (let box = 0; box < count; box++) {
    const above = sources[box].filter((from) => heirs[from] === box);
    const from = above.reduce((best, other) => (best < 0 || length[other] > length[best] ? other : best), -1);
    if (from < 0) strips.push({boxes: [], first: ranks[box], last: 0});
    else length[box] = length[from] + 1;
    stripOf[box] = from < 0 ? strips.length - 1 : stripOf[from];
    strips[stripOf[box]].boxes.push(box);
    strips[stripOf[box]].last = ranks[box];
  }
  return strips.sort((a, b) => a.first - b.first || b.boxes.length - a.boxes.length);
}

// Columns of boxes, in cells. Strips are placed near what they read, then near what reads them too; of some such rounds
// the one whose edges go least aside, which is also the one that crosses least.
function bestColumns(graph, strips) {
  let best = null;
  let cells = null;
  for (let round = 0; round < 4; round++) {
    cells = placedStrips(graph, strips, cells);
    const aside = graph.edges.reduce((sum, [from, to]) => sum + Math.abs(cells[from] - cells[to]), 0);
    if (!best || aside < best.aside) best = {aside, cells};
  }
  return best.cells;
}

function placedStrips({count, sources, targets}, strips, before) {
  const cells = new Int32Array(count);
  const busy = new Map(); // by cell: the last rank that is taken
  for (const strip of strips) {
    const [head, tail] = [strip.boxes[0], strip.boxes.at(-1)];
    const around = sources[head].map((from) => cells[from]);
    if (before) around.push(...targets[tail].map((to) => before[to]));
    const wanted = around.length ? Math.round(around.reduce((a, b) => a + b, 0) / around.length) : 0;
    const [right, left] = [freeColumn(busy, wanted, strip.first, 1), freeColumn(busy, wanted, strip.first, -1)];
    const at = right - wanted <= wanted - left ? right : left;
    for (let cell = at - HALF_BOX; cell <= at + HALF_BOX; cell++) busy.set(cell, strip.last);
    for (const box of strip.boxes) cells[box] = at;
  }
  return cells;
}

// The first column on one side of a wanted one, itself included, whose cells are all free from a rank on.
function freeColumn(busy, wanted, first, step) {
  let at = wanted;
  for (let off = HALF_BOX; off >= -HALF_BOX; off--) {
    if ((busy.get(at + step * off) ?? -1) < first) continue;
    at += step * (off + HALF_BOX + 1);
    off = HALF_BOX + 1;
  }
  return at;
}

// The cell of the lane of every box that is read from further below, NaN for others.
function placedLanes({count, targets}, ranks, strips, cells) {
  const taken = new Map(); // by cell: runs [first, last] of ranks
  const take = (cell, first, last) => {
    if (!taken.has(cell)) taken.set(cell, []);
    taken.get(cell).push([first, last]);
  };
  for (const {boxes, first, last} of strips) {
    for (let cell = cells[boxes[0]] - HALF_BOX + 1; cell < cells[boxes[0]] + HALF_BOX; cell++) take(cell, first, last);
  }
  const lanes = new Float64Array(count).fill(NaN);
  const long = [];
  for (let box = 0; box < count; box++) {
    const far = targets[box].filter((to) => ranks[to] > ranks[box] + 1);
    if (!far.length) continue;
    const wanted = [cells[box], ...far.map((to) => cells[to])].reduce((a, b) => a + b, 0) / (far.length + 1);
    const last = far.reduce((most, to) => Math.max(most, ranks[to]), 0) - 1;
    long.push({box, wanted: Math.round(wanted), first: ranks[box] + 1, last});
  }
  for (const {box, wanted, first, last} of long.sort(
    (a, b) => a.last - a.first - b.last + b.first || a.first - b.first,
  )) {
    const isFree = (cell) => !(taken.get(cell) ?? []).some(([low, high]) => low <= last && high >= first);
    let off = 0;
    while (!isFree(wanted + off)) off = off > 0 ? -off : 1 - off;
    take(wanted + off, first, last);
    lanes[box] = wanted + off;
  }
  return lanes;
}

function drawnLayout({count, edges, sources, targets}, ranks, cells, lanes) {
  const used = [...cells, ...lanes.filter((lane) => !Number.isNaN(lane))];
  const [left, right] = used.reduce(([low, high], cell) => [Math.min(low, cell), Math.max(high, cell)], [0, 0]);
  const across = (cell) => (cell - left + HALF_BOX) * BOX.cell;
  const rows = Array.from({length: ranks.reduce((most, rank) => Math.max(most, rank + 1), 0)}, () => []);
  for (let box = 0; box < count; box++) rows[ranks[box]].push(box);
  return {
    ranks,
    rows,
    sources,
    targets,
    boxHeight: BOX.height,
    x: Float64Array.from(cells, across),
    y: Float64Array.from(ranks, (rank) => rank * (BOX.height + BOX.gap)),
    edges: edges.map(([from, to]) => ({from, to, lane: ranks[to] > ranks[from] + 1 ? across(lanes[from]) : null})),
    width: (right - left + 2 * HALF_BOX) * BOX.cell,
    height: Math.max(BOX.height, rows.length * (BOX.height + BOX.gap) - BOX.gap),
  };
}
