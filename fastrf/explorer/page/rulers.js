// Texts of a drawing, which do not wrap: measured, and shortened to the room there is. Called by the graph.

// Of a name that is too long the end stays, which tells layers apart; of other texts the beginning.
export function shortened(text, room, font, isEnd = true) {
  if (textWidth(text, font) <= room) return text;
  let [kept, most] = [0, text.length - 1];
  const cut = (count) => (isEnd ? `…${text.slice(text.length - count)}` : `${text.slice(0, count)}…`);
  while (kept < most) {
    const middle = Math.ceil((kept + most) / 2);
    if (textWidth(cut(middle), font) <= room) kept = middle;
    else most = middle - 1;
  }
  return cut(kept);
}

const ruler = {context: null, family: "sans-serif", widths: new Map()};

// The typeface in which texts are measured.
export function setFamily(family) {
  if (ruler.family !== family) ruler.widths.clear();
  ruler.family = family;
}

// The width of a text in pixels, in a font without its family.
export function textWidth(text, font) {
  const key = `${font} ${text}`;
  if (!ruler.widths.has(key)) {
    ruler.context ??= document.createElement("canvas").getContext("2d");
    ruler.context.font = `${font} ${ruler.family}`;
    if (ruler.widths.size > 50000) ruler.widths.clear();
    ruler.widths.set(key, ruler.context.measureText(text).width);
  }
  return ruler.widths.get(key);
}
