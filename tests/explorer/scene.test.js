import assert from "node:assert/strict";
import test from "node:test";

import {axisTicks, linesItem, rectanglesOf, svgOf} from "../../fastrf/explorer/page/scene.js";

const view = {
  left: 0,
  top: 0,
  width: 40,
  height: 40,
  window: [
    [0, 4],
    [0, 4],
  ],
};

test("rectangles cover the cells of each value, once", () => {
  const bytes = Uint8Array.from([1, 1, 0, 2, 1, 1, 0, 2, 1, 0, 0, 2, 0, 3, 3, 0]);
  const found = rectanglesOf(bytes, [4, 4]);
  assert.deepEqual([...found.keys()], [1, 2, 3]);
  assert.deepEqual(found.get(1), [
    [0, 0, 2, 2],
    [2, 0, 1, 1],
  ]);
  assert.deepEqual(found.get(2), [[0, 3, 3, 1]]);
  const again = new Uint8Array(16);
  for (const [value, rectangles] of found) {
    for (const [row, column, rows, columns] of rectangles) {
      for (let r = row; r < row + rows; r++) again.fill(value, r * 4 + column, r * 4 + column + columns);
    }
  }
  assert.deepEqual(again, bytes);
});

test("lines and ticks only where there is room", () => {
  assert.equal(linesItem(view, [4, 4], [0, 0, 0]).rows.length, 5);
  assert.equal(
    linesItem(
      {
        ...view,
        window: [
          [0, 400],
          [0, 400],
        ],
      },
      [400, 400],
      [0, 0, 0],
    ).rows.length,
    0,
  );
  assert.ok(axisTicks(view, [1, 4]).every(({axis}) => axis === 1));
});

test("what is seen becomes SVG, and names stay text", () => {
  const name = `</text><script>alert(1)</script>"'&\u0007`;
  const scene = [
    {kind: "image", uri: "data:image/png;base64,AAAA", rows: [0, 4], columns: [0, 4]},
    {
      kind: "cells",
      window: [
        [0, 2],
        [0, 2],
      ],
      size: [2, 2],
      bytes: Uint8Array.from([1, 0, 0, 1]),
      colours: [
        [0, 0, 0, 0],
        [1, 2, 3, 0.5],
      ],
    },
    {kind: "box", rows: [0, 2], columns: [0, 2], colour: [4, 5, 6], dash: [6, 4]},
    {kind: "cross", at: [1, 1], colour: [7, 8, 9]},
    {kind: "lines", rows: [1], columns: [2], colour: [9, 9, 9, 0.5]},
    {
      kind: "path",
      points: [
        [0, 0],
        [1, 1],
      ],
      colour: [1, 1, 1],
    },
  ];
  const svg = svgOf({
    width: 100,
    height: 80,
    ground: "rgb(255, 255, 255)",
    text: "#000",
    line: "#888",
    title: name,
    parts: [{view, plane: [4, 4], names: [name, name], scene}],
    notes: [{x: 1, y: 2, text: name, style: {}}],
  });
  assert.ok(!svg.includes("<script"));
  assert.ok(svg.includes("&lt;script&gt;"));
  assert.ok(!svg.includes("\u0007"));
  assert.match(svg, /M0 0h10v10h-10zM10 10h10v10h-10z/);
  assert.match(svg, /fill="rgb\(1, 2, 3\)" fill-opacity="0.5"/);
  assert.match(svg, /stroke-dasharray="6 4"/);
  for (const tag of ["svg", "g", "text", "clipPath", "title"]) {
    assert.equal(svg.split(`<${tag}`).length, svg.split(`</${tag}>`).length, tag);
  }
});
