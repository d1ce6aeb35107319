"""Path weights carried through a Network: forwards to every position, or backwards from some."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import accumulate
from typing import cast

from fastrf.engine.axis_map import AxisMap
from fastrf.engine.factors import put
from fastrf.engine.recipe import Recipe, Step, replay
from fastrf.erf.path_rules import Rule, rule_of
from fastrf.erf.path_weights import PathWeights
from fastrf.errors import FastRFError
from fastrf.network import Network, Node

__all__ = ["backwards", "forwards", "on_the_way"]

Shape = tuple[int, ...]


def on_the_way(network: Network, origin: str, targets: Collection[str]) -> list[Node]:
    """The nodes after the origin that lie on a path from it to a target, in order."""
    reached = {origin}
    after = []
    for node in network.nodes:
        if node.name != origin and not reached.isdisjoint(node.inputs):
            reached.add(node.name)
            after.append(node)
    needed = set(targets)
    chosen = []
    for node in reversed(after):
        if node.name in needed:
            chosen.append(node)
            needed.update(node.inputs)
    return chosen[::-1]


def forwards(
    network: Network, origin: str, start: PathWeights, targets: Collection[str], kernels: str, nonlinear: str
) -> dict[str, PathWeights]:
    """At every element of the targets: the sum over paths from the origin of weight times `start`."""
    nodes = on_the_way(network, origin, targets)
    uses = _uses(nodes)
    values = {origin: start}
    for node in nodes:
        shapes = [network.shape_of(read) for read in node.inputs]
        rule = rule_of(node, shapes, kernels, nonlinear)
        inputs = [
            values[read] if read in values else _none(start, shape)
            for read, shape in zip(node.inputs, shapes, strict=True)
        ]
        try:
            result = replay(rule.recipe, [value.averaging(rule.average) for value in inputs])
        except FastRFError as error:
            raise type(error)(f"node {node.name!r} ({node.op}): {error}") from error
        values[node.name] = result.scaled(rule.factor)
        for read in node.inputs:
            uses[read] -= 1
            if not uses[read] and read not in targets:
                values.pop(read, None)
    return {name: values[name] if name in values else _none(start, network.shape_of(name)) for name in targets}


def backwards(
    network: Network, origin: str, target: str, start: PathWeights, kernels: str, nonlinear: str
) -> PathWeights:
    """At every element of the origin: the sum over paths to the target of weight times `start`."""
    nodes = on_the_way(network, origin, [target])
    reached = {origin, *(node.name for node in nodes)}
    values = {target: start}
    for node in reversed(nodes):
        value = values.pop(node.name)
        shapes = [network.shape_of(read) for read in node.inputs]
        rule = rule_of(node, shapes, kernels, nonlinear)
        try:
            pulled = _pulled(rule, value.scaled(rule.factor), tuple(shapes))
        except FastRFError as error:
            raise type(error)(f"node {node.name!r} ({node.op}): {error}") from error
        for read, share in zip(node.inputs, pulled, strict=False):
            if share is not None and read in reached:
                values[read] = values[read].union(share) if read in values else share
        for read in node.inputs:
            if read in reached and read not in values:
                values[read] = _none(start, network.shape_of(read))
    return values.get(origin, _none(start, network.shape_of(origin)))


def _uses(nodes: Sequence[Node]) -> dict[str, int]:
    uses: dict[str, int] = {}
    for node in nodes:
        for read in node.inputs:
            uses[read] = uses.get(read, 0) + 1
    return uses


def _none(like: PathWeights, shape: Shape) -> PathWeights:
    """No paths, for a tensor of `shape` and as many images as another value."""
    return PathWeights.none(len(like.data), shape)


def _pulled(rule: Rule, value: PathWeights, shapes: Sequence[Shape]) -> list[PathWeights | None]:
    """The steps of a recipe transposed, last one first: what the inputs get of the result's weights."""
    recipe = rule.recipe
    sizes = _shapes(recipe, shapes)
    shares: list[PathWeights | None] = [None] * len(sizes)
    shares[recipe.result] = value.averaging(rule.average)
    for number in range(len(recipe.steps) - 1, -1, -1):
        step, share = recipe.steps[number], shares[recipe.n_inputs + number]
        if share is None:
            continue
        parts = _transposed(step, share, [sizes[source] for source in step.inputs])
        for source, part in zip(step.inputs, parts, strict=True):
            before = shares[source]
            shares[source] = before if part is None else part if before is None else before.union(part)
        shares[recipe.n_inputs + number] = None
    return shares[: recipe.n_inputs]


def _transposed(step: Step, value: PathWeights, shapes: Sequence[Shape]) -> list[PathWeights | None]:
    """What each input of one step gets of its result's weights."""
    axis = cast("int", step.arguments[0]) if step.arguments else 0
    shape = shapes[0]
    match step.kind:
        case "map_axis":
            return [value.unmap_axis(axis, cast("AxisMap", step.arguments[1]))]
        case "reduce":
            spread = value.scaled(1 / max(shape[axis], 1)) if value.average else value
            return [spread.insert(axis, shape[axis])]
        case "insert":
            return [value.total(axis)]
        case "stretch":
            return [value.total(axis).insert(axis, 1)]
        case "reshape":
            return [value.reshape(shape)]
        case "permute":
            order = cast("Shape", step.arguments[0])
            return [value.permute(tuple(order.index(a) for a in range(len(order))))]
        case "concat":
            starts = accumulate((size[axis] for size in shapes), initial=0)
            return [value.cut(axis, start, size[axis]) for start, size in zip(starts, shapes, strict=False)]
        case "nothing":
            return [None]
        case "along":
            return [value, None]
        case _:
            return [value] * len(shapes)


def _shapes(recipe: Recipe, shapes: Sequence[Shape]) -> list[Shape]:
    """The shape of every value of a recipe."""
    known = list(shapes[: recipe.n_inputs])
    for kind, arguments, sources in recipe.steps:
        known.append(_shape_after(kind, arguments, [known[source] for source in sources]))
    return known


def _shape_after(kind: str, arguments: tuple[object, ...], shapes: Sequence[Shape]) -> Shape:
    """The shape that one step gives."""
    shape = shapes[0]
    if kind == "reshape":
        return cast("Shape", arguments[0])
    if kind == "permute":
        return tuple(shape[a] for a in cast("Shape", arguments[0]))
    if kind in ("union", "nothing", "along"):
        return shape
    axis = cast("int", arguments[0])
    match kind:
        case "map_axis":
            return put(shape, axis, cast("AxisMap", arguments[1]).n_out)
        case "reduce":
            return put(shape, axis)
        case "insert":
            return (*shape[:axis], cast("int", arguments[1]), *shape[axis:])
        case "stretch":
            return put(shape, axis, cast("int", arguments[1]))
        case _:
            return put(shape, axis, sum(size[axis] for size in shapes))
