import assert from "node:assert/strict";
import test from "node:test";

import {
  cellUnder,
  cellsOf,
  centreOf,
  elementWindow,
  indexOfCell,
  isIndexOf,
  isWhole,
  movedIndex,
  panned,
  planeOf,
  plotSize,
  scaledIndex,
  screenBox,
  tickWord,
  ticksOf,
  toX,
  toY,
  under,
  wholeWindow,
  windowAround,
  windowWith,
  zoomed,
} from "../../fastrf/explorer/page/geometry.js";

const view = {
  left: 10,
  top: 20,
  width: 300,
  height: 200,
  window: [
    [0, 4],
    [0, 6],
  ],
};

test("indices of maps of any rank, and none of an empty one", () => {
  assert.ok(isIndexOf([], []));
  assert.ok(isIndexOf([0, 5], [1, 6]));
  for (const wrong of [null, [1], [1, 6], [-1, 0], [0.5, 0], ["0", 0], [NaN, 0]]) assert.ok(!isIndexOf(wrong, [2, 6]));
  assert.deepEqual(centreOf([1, 10_000]), [0, 5000]);
  assert.equal(centreOf([0, 4]), null);
  assert.deepEqual(scaledIndex([3, 5], [4, 6], [8, 12]), [7, 11]);
  assert.deepEqual(scaledIndex([3, 5], [4, 6], [1, 1]), [0, 0]);
  assert.deepEqual(scaledIndex([3, 5], [4, 6], [9]), [4]);
});

test("the screen and the map: there and back", () => {
  assert.deepEqual([toX(view, 3), toY(view, 1)], [160, 70]);
  assert.deepEqual(under(view, 160, 70), [1, 3]);
  assert.deepEqual(cellUnder(view, 10, 20, [4, 6]), [0, 0]);
  assert.deepEqual(cellUnder(view, 309, 219, [4, 6]), [3, 5]);
  for (const [x, y] of [
    [9, 20],
    [310, 100],
    [100, 220],
  ])
    assert.equal(cellUnder(view, x, y, [4, 6]), null);
});

test("plots are true to scale, lines and very long maps are strips that can be seen", () => {
  assert.deepEqual(plotSize({width: 400, height: 300}, [10, 10]), {width: 300, height: 300});
  assert.equal(plotSize({width: 400, height: 300}, [1, 1000]).width, 400);
  const {width, height} = plotSize({width: 400, height: 300}, [80, 100_000]);
  assert.ok(width === 400 && height === 80);
  assert.deepEqual(plotSize({width: 400, height: 300}, [9, 1_000_000], {free: true}), {width: 400, height: 240});
  assert.deepEqual(plotSize({width: 400, height: 300}, [1, 1]), {width: 84, height: 84});
});

test("zoom keeps the point under the pointer and stays inside", () => {
  const window = zoomed(
    [
      [0, 100],
      [0, 100],
    ],
    4,
    [50, 20],
    [100, 100],
  );
  assert.deepEqual(window, [
    [37.5, 62.5],
    [15, 40],
  ]);
  assert.deepEqual(zoomed(window, 1 / 100, [50, 20], [100, 100]), [
    [0, 100],
    [0, 100],
  ]);
  assert.deepEqual(
    zoomed(
      [
        [0, 1],
        [0, 50],
      ],
      1000,
      [0.5, 50],
      [1, 50],
    ),
    [
      [0, 1],
      [48, 50],
    ],
  );
  assert.deepEqual(
    panned(
      [
        [10, 20],
        [0, 5],
      ],
      [-30, 2],
      [100, 100],
    ),
    [
      [0, 10],
      [2, 7],
    ],
  );
  assert.ok(isWhole(wholeWindow([3, 4]), [3, 4]));
});

test("a window follows the cell, as little as needed", () => {
  const window = [
    [10, 20],
    [10, 20],
  ];
  assert.equal(windowWith(window, [15, 19], [100, 100]), window);
  assert.deepEqual(windowWith(window, [25, 3], [100, 100]), [
    [16, 26],
    [3, 13],
  ]);
  assert.deepEqual(
    windowAround(
      [
        [40, 60],
        [50, 60],
      ],
      [100, 200],
    ),
    [
      [35, 65],
      [25, 85],
    ],
  );
  assert.deepEqual(
    windowAround(
      [
        [0, 1],
        [0, 1],
      ],
      [1, 1],
    ),
    [
      [0, 1],
      [0, 1],
    ],
  );
});

test("cells are never more than elements, nor more than dots of the screen", () => {
  assert.deepEqual(
    elementWindow(
      [
        [0.5, 3.2],
        [2, 6],
      ],
      [
        [0, 2],
        [3, 9],
      ],
    ),
    [
      [0, 2],
      [3, 6],
    ],
  );
  assert.equal(
    elementWindow(
      [
        [0, 2],
        [0, 2],
      ],
      [
        [2, 3],
        [0, 1],
      ],
    ),
    null,
  );
  assert.deepEqual(
    cellsOf(
      [
        [0, 4],
        [0, 6],
      ],
      view,
      2,
    ),
    [4, 6],
  );
  const far = {
    ...view,
    window: [
      [0, 1e7],
      [0, 1e7],
    ],
  };
  assert.deepEqual(
    cellsOf(
      [
        [0, 1e7],
        [0, 10],
      ],
      far,
      1,
    ),
    [200, 1],
  );
});

test("marks have at least the size asked for, about the same middle", () => {
  assert.deepEqual(screenBox(view, [0, 1], [0, 1]), {x: 10, y: 20, width: 50, height: 50});
  assert.deepEqual(screenBox(view, [0, 0.1], [0, 0.1], 9), {x: 8, y: 18, width: 9, height: 9});
});

test("ticks are whole, round, and few", () => {
  assert.deepEqual(ticksOf([0, 224], 350), [0, 50, 100, 150, 200]);
  assert.deepEqual(ticksOf([0, 3], 600), [0, 1, 2]);
  assert.ok(ticksOf([0, 1e7], 700).length < 14);
  assert.deepEqual(ticksOf([3.5, 5.5], 100), [4]);
  assert.deepEqual([0, 999, 9_500, 20_000, 20_001, 1_500_000, 1_234_567].map(tickWord), [
    "0",
    "999",
    "9500",
    "20k",
    "20001",
    "1.5M",
    "1234567",
  ]);
});

test("steps move along the last axes and stop at the ends", () => {
  assert.deepEqual(movedIndex([1, 2, 3], [1, -10], [2, 3, 4]), [1, 2, 0]);
  assert.deepEqual(movedIndex([5], [1, 0], [7]), [6]);
  assert.deepEqual(movedIndex([5], [0, Infinity], [7]), [6]);
  assert.deepEqual(indexOfCell([1, 2], [9, 0, 0], [10, 3, 4]), [9, 1, 2]);
  assert.deepEqual(indexOfCell([0, 2], [0], [4]), [2]);
  assert.deepEqual(indexOfCell([0, 0], [], []), []);
  assert.deepEqual(planeOf([7]), [1, 7]);
});
