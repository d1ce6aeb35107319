// How far the steps along a pixel axis read before and after themselves, in samples, the most of all steps.

/** Infinity where that has no end, NaN where it is unknown, null where the axis has no steps. */
export function lookback(field, axis) {
  return field.looks[axis] ? field.looks[axis][0] : null;
}

/** As `lookback`, after the last sample of a step. */
export function lookahead(field, axis) {
  return field.looks[axis] ? field.looks[axis][1] : null;
}
