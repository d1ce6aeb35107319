// Elements by script: text is always set as text, so that no name of a node can become markup.

const SVG_SPACE = "http://www.w3.org/2000/svg";

// An element with properties (`class`, `text`, `on: {event: handler}`, anything else an attribute) and children.
export function element(tag, given = {}, ...children) {
  return withContent(document.createElement(tag), given, children);
}

export function svgElement(tag, given = {}, ...children) {
  return withContent(document.createElementNS(SVG_SPACE, tag), given, children);
}

function withContent(node, {text, on = {}, ...attributes}, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, String(value));
  }
  for (const [event, handler] of Object.entries(on)) node.addEventListener(event, handler);
  if (text !== undefined) node.textContent = text;
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// Writes text where it differs: a live region that is written again would be read out again.
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Arrow keys, Home and End walk through the enabled items of a group, of which one at a time takes the focus by Tab.
export function rove(group, selector, {vertical = false} = {}) {
  const [back, on] = vertical ? ["ArrowUp", "ArrowDown"] : ["ArrowLeft", "ArrowRight"];
  group.addEventListener("keydown", (event) => {
    const items = [...group.querySelectorAll(selector)].filter((item) => !item.disabled && !item.hidden);
    const here = items.indexOf(event.target.closest(selector));
    const to = {[back]: here - 1, [on]: here + 1, Home: 0, End: items.length - 1}[event.key];
    if (here < 0 || to === undefined) return;
    event.preventDefault();
    const next = items[(to + items.length) % items.length];
    for (const item of items) item.tabIndex = item === next ? 0 : -1;
    next.focus();
    if (next.getAttribute("role") === "tab" || next.getAttribute("role") === "radio") next.click();
  });
}

// Work that many events ask for, done once before the next picture is shown.
export function oncePerFrame(work) {
  let asked = 0;
  return () => {
    if (!asked)
      asked = requestAnimationFrame(() => {
        asked = 0;
        work();
      });
  };
}
