// What differs between two models, in the order in which it is read. No DOM.

const CHANGE_KINDS = [
  ["changed", "Changed themselves"],
  ["added", "Added"],
  ["removed", "Removed"],
  ["renamed", "Renamed"],
  ["inherited", "Inherited from what they read"],
];

// Changes by kind, only kinds that occur: [{kind, title, changes}], the ones that follow from others last.
export function groupedChanges(changes) {
  return CHANGE_KINDS.map(([kind, title]) => ({
    kind,
    title,
    changes: changes.filter((change) => change.kind === kind),
  })).filter((group) => group.changes.length);
}

// "1 changed, 68 inherited".
export function tellChanges(changes) {
  const groups = groupedChanges(changes);
  return groups.length
    ? groups.map((group) => `${group.changes.length.toLocaleString("en-US")} ${group.kind}`).join(", ")
    : "no layer differs";
}

// The layer of a change in a model (0 old, 1 new), or in the other one where this model does not have it.
export function changedLayer(change, model) {
  const here = model === 0 ? change.old : change.new;
  return here !== null ? {model, node: here} : {model: 1 - model, node: model === 0 ? change.new : change.old};
}

// Whether a change is of the chosen layer.
export function isChangeOf(change, {model, node}) {
  return (model === 0 ? change.old : change.new) === node;
}

// The layer's name; both where they differ.
export function changeName(change, models) {
  const [was, is] = [change.old, change.new].map((node, side) =>
    node === null ? null : models[side].nodes[node].name,
  );
  if (was === null || is === null || was === is) return is ?? was;
  return `${was} → ${is}`;
}
