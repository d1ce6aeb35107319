// Tabs: a list of words of which one is chosen, and its panel. What a panel shows is made when it is first opened.

import {element, rove} from "./dom.js";

// `entries` are {key, label, mount(root)}; `onChoose(key)` is called, and `show(key)` shows: the owner keeps the state.
export function makeTabs(list, panels, entries, onChoose) {
  const made = entries.map((entry) => tabOf(entry, list.id, onChoose));
  list.append(...made.map(({tab}) => tab));
  panels.append(...made.map(({panel}) => panel));
  rove(list, "[role=tab]");
  return {
    show(key) {
      for (const one of made) {
        const on = one.entry.key === key;
        one.tab.setAttribute("aria-selected", String(on));
        one.tab.tabIndex = on ? 0 : -1;
        one.panel.hidden = !on;
        if (on && !one.mounted) one.mounted = one.entry.mount(one.panel) ?? {};
      }
      return made.find((one) => one.entry.key === key)?.mounted ?? null;
    },
    disable(keys) {
      for (const one of made) one.tab.disabled = keys.includes(one.entry.key);
    },
  };
}

function tabOf(entry, group, onChoose) {
  const id = `${group}-${entry.key}`;
  const tab = element("button", {
    type: "button",
    role: "tab",
    id: `${id}-tab`,
    "aria-controls": id,
    text: entry.label,
    on: {click: () => onChoose(entry.key)},
  });
  const panel = element("div", {id, role: "tabpanel", "aria-labelledby": `${id}-tab`, hidden: true});
  return {entry, tab, panel, mounted: null};
}
