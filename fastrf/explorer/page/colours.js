// Colours that the colour-blind tell apart (Okabe and Ito), and the scale of heat maps (cividis). No document here.

// Okabe-Ito: sky blue, orange, and reddish purple where both are; bluish green for who sees a pixel.
export const OKABE_ITO = {
  black: [0, 0, 0],
  orange: [230, 159, 0],
  sky: [86, 180, 233],
  green: [0, 158, 115],
  yellow: [240, 228, 66],
  blue: [0, 114, 178],
  vermillion: [213, 94, 0],
  purple: [204, 121, 167],
};

export const CLEAR = [0, 0, 0, 0];

// Cividis, sampled: equally spaced in lightness, and the same to all eyes.
const CIVIDIS = [
  [0, 34, 78],
  [8, 51, 112],
  [53, 69, 108],
  [79, 87, 108],
  [102, 105, 112],
  [125, 124, 120],
  [148, 142, 119],
  [174, 163, 113],
  [200, 184, 102],
  [229, 207, 82],
  [254, 232, 56],
];

// The colour of a share between 0 and 1 as [red, green, blue].
export function heatColour(share) {
  const place = Math.max(0, Math.min(share, 1)) * (CIVIDIS.length - 1);
  const low = Math.min(Math.floor(place), CIVIDIS.length - 2);
  return CIVIDIS[low].map((from, k) => Math.round(from + (CIVIDIS[low + 1][k] - from) * (place - low)));
}

export function cssColour([red, green, blue, alpha = 1]) {
  return alpha === 1 ? `rgb(${red}, ${green}, ${blue})` : `rgba(${red}, ${green}, ${blue}, ${alpha})`;
}

// 1 .. 255 are the scale from low to high, 0 is nothing there.
export const HEAT_PALETTE = Array.from({length: 256}, (_, k) => (k ? [...heatColour((k - 1) / 254), 1] : [0, 0, 0, 0]));

// The byte of a value on the scale of HEAT_PALETTE.
export function heatByte(value, low, high) {
  if (Number.isNaN(value)) return 0;
  return high > low ? 1 + Math.round((254 * (Math.max(low, Math.min(value, high)) - low)) / (high - low)) : 128;
}

// "#rrggbb", "rgb(...)" or "rgba(...)" as [red, green, blue, alpha].
export function parsedColour(text) {
  const hex = /^#([0-9a-f]{6})$/i.exec(text.trim());
  if (hex) return [0, 2, 4].map((k) => parseInt(hex[1].slice(k, k + 2), 16)).concat(1);
  const parts = (text.match(/[\d.]+/g) ?? []).map(Number);
  return parts.length >= 3 ? [...parts.slice(0, 3), parts[3] ?? 1] : [0, 0, 0, 1];
}

// The contrast of two colours after WCAG 2, from 1 to 21.
export function contrastOf(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

function luminance(colour) {
  const [r, g, b] = colour.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
