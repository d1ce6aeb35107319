// The nominal field: what positions read on an unbounded input, from which follow centres and what borders cut.

/** Boxes of positions, each with an extent per pixel axis; positions in none read nothing. */
export class Nominal {
  constructor(pieces) {
    this.pieces = pieces;
  }

  /** What a position reads of each pixel axis, [[low, high], ...], NaN where that is unknown; null in no box. */
  at(position) {
    const piece = this.pieces.find(({offsets, axes}) =>
      position.every((i, axis) => i >= offsets[axis] && i < offsets[axis] + axes.shape[axis]),
    );
    if (!piece) return null;
    const at = piece.axes.split(position.map((i, axis) => i - piece.offsets[axis]));
    return piece.extents.map((extent) => extentAt(extent, at));
  }

  /** The index of the middle of what a position reads, per pixel axis; NaN where it has none. */
  center(position, n) {
    const ends = this.at(position);
    if (!ends) return Array(n).fill(NaN);
    return ends.map(([low, high]) => (Number.isFinite(low) && Number.isFinite(high) ? (low + high - 1) / 2 : NaN));
  }

  /** Whether a border of an input of this shape cuts what a position reads, or may. */
  clipped(position, shape) {
    const ends = this.at(position);
    return ends !== null && ends.some((own, axis) => isCut(own, shape[axis]));
  }

  /** The same for all positions, as boxes for `fillGrid`. */
  cuts(shape) {
    return this.pieces.map(({offsets, axes, extents}) => {
      const parts = extents.map((extent, axis) => ({
        rows: extent.phases.map(([factor]) => factor),
        classAt: (at) => Number(isCut(extentAt(extent, at), shape[axis])),
      }));
      return {offsets, axes, parts, value: (numbers) => Number(numbers.includes(1))};
    });
  }
}

function isCut([low, high], size) {
  return !(low > high) && !(low >= 0 && high <= size);
}

function extentAt({phases, low, high}, at) {
  let place = 0;
  let move = 0;
  for (const [factor, period, shift] of phases) {
    place = place * period + (at[factor] % period);
    move += Math.floor(at[factor] / period) * shift;
  }
  return [low[place] + move, high[place] + move];
}
