"""Path weights carried through a Network: forwards to every position, or backwards from some.

Here stand the conventions, too: which paths an operator has, and what weight they carry.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from itertools import accumulate
from typing import cast

from fastrf.engine.axis_map import AxisMap
from fastrf.engine.recipe import Recipe, Step, record, replay
from fastrf.erf.path_weights import PathWeights
from fastrf.errors import FastRFError, UnsupportedOpError, UsageError
from fastrf.network import Network, Node
from fastrf.ops import find

__all__ = ["backwards", "check_options", "forwards", "on_the_way"]

Shape = tuple[int, ...]

#: What the weights of kernels are: all 1, or all one divided by how many inputs an output reads.
KERNELS = ("ones", "fan_in")
#: What to do at operators whose weights depend on data: raise, or count whatever is read as one path.
NONLINEAR = ("raise", "count")


def check_options(kernels: str, nonlinear: str) -> None:
    """UsageError for an unknown value of either option."""
    for value, known, name in ((kernels, KERNELS, "kernels"), (nonlinear, NONLINEAR, "nonlinear")):
        if value not in known:
            raise UsageError(f"{name} {value!r} is unknown; use one of {', '.join(known)}")


def on_the_way(network: Network, origin: str, targets: Collection[str]) -> list[Node]:
    """The nodes after the origin that lie on a path from it to a target, in order."""
    reached, found = {origin}, []
    for node in reversed(list(network.needed(targets))):
        if node.name != origin and not reached.isdisjoint(node.inputs):
            reached.add(node.name)
            found.append(node)
    return found


def forwards(
    network: Network, origin: str, start: PathWeights, targets: Collection[str], kernels: str, nonlinear: str
) -> dict[str, PathWeights]:
    """At every element of the targets: the sum over paths from the origin of weight times `start`."""
    nodes = on_the_way(network, origin, targets)
    uses = Counter(read for node in nodes for read in node.inputs)
    values = {origin: start}
    for node in nodes:
        shapes = [network.shape_of(read) for read in node.inputs]
        recipe, average, factor = _rule(node, shapes, kernels, nonlinear)
        read_values = [values.get(read) or _none(start, n) for read, n in zip(node.inputs, shapes, strict=True)]
        try:
            result = replay(recipe, [value.averaging(average) for value in read_values])
        except FastRFError as error:
            raise type(error)(f"node {node.name!r} ({node.op}): {error}") from error
        values[node.name] = result.scaled(factor)
        for read in node.inputs:
            uses[read] -= 1
            if not uses[read] and read not in targets:
                values.pop(read, None)
    return {name: values.get(name) or _none(start, network.shape_of(name)) for name in targets}


def backwards(
    network: Network, origin: str, target: str, start: PathWeights, kernels: str, nonlinear: str
) -> PathWeights:
    """At every element of the origin: the sum over paths to the target of weight times `start`."""
    nodes = on_the_way(network, origin, [target])
    reached = {origin, *(node.name for node in nodes)}
    values = {target: start}
    for node in reversed(nodes):
        value = values.pop(node.name, None) or _none(start, node.shape)
        shapes = [network.shape_of(read) for read in node.inputs]
        recipe, average, factor = _rule(node, shapes, kernels, nonlinear)
        try:
            pulled = _pulled(recipe, value.scaled(factor).averaging(average), shapes)
        except FastRFError as error:
            raise type(error)(f"node {node.name!r} ({node.op}): {error}") from error
        for read, share in zip(node.inputs, pulled, strict=False):
            if share is not None and read in reached:
                values[read] = values[read].union(share) if read in values else share
    return values.get(origin) or _none(start, network.shape_of(origin))


def _none(like: PathWeights, shape: Shape) -> PathWeights:
    """No paths, for a tensor of `shape` and as many images as another value."""
    return PathWeights.none(len(like.data), shape)


def _rule(node: Node, shapes: Sequence[Shape], kernels: str, nonlinear: str) -> tuple[Recipe, bool, float]:
    """Steps that pass path weights on as sums (or, where that is so, as means), and a factor on what comes out.

    Raises UnsupportedOpError, naming the node, for an operator that gives its paths no fixed weight.
    """
    facts, fan_in = find(node.op), kernels == "fan_in"
    if facts.paths == "through":
        return Recipe(1, (), 0, node.shape, node.channel_axis, False), False, 1.0
    if (facts.paths == "data" or node.recipe.approximate) and nonlinear == "raise":
        raise UnsupportedOpError(
            f"node {node.name!r} ({node.op}): its weights depend on data, so its paths have none of their own; "
            "choose a node before it, or nonlinear='count' to count everything that it reads once"
        )
    factor = 1 / max(facts.fan_in(node.attributes, shapes, node.shape), 1) if fan_in else 1.0
    return node.recipe, facts.paths == "weighted" or (fan_in and facts.paths == "mean"), factor


def _pulled(recipe: Recipe, value: PathWeights, shapes: Sequence[Shape]) -> list[PathWeights | None]:
    """The steps of a recipe transposed, last one first: what the inputs get of the result's weights."""
    sizes = _shapes(recipe, shapes)
    shares: list[PathWeights | None] = [None] * len(sizes)
    shares[recipe.result] = value
    for step in reversed(recipe.steps):
        share = shares.pop()
        if share is None:
            continue
        parts = _transposed(step, share, [sizes[source] for source in step.inputs])
        for source, part in zip(step.inputs, parts, strict=True):
            before = shares[source]
            shares[source] = before if part is None else part if before is None else before.union(part)
    return shares


def _shapes(recipe: Recipe, shapes: Sequence[Shape]) -> list[Shape]:
    """The shape of every value of a recipe, from carrying its steps out on symbolic tensors."""
    tensors, _ = record(shapes[: recipe.n_inputs], [None] * recipe.n_inputs)
    for kind, arguments, (first, *others) in recipe.steps:
        alike = kind == "along"
        done = tensors[first] if alike else getattr(tensors[first], kind)(*arguments, *(tensors[k] for k in others))
        tensors.append(done)
    return [tensor.shape for tensor in tensors]


def _transposed(step: Step, value: PathWeights, shapes: Sequence[Shape]) -> list[PathWeights | None]:
    """What each input of one step gets of its result's weights."""
    axis = cast("int", step.arguments[0]) if step.arguments else 0
    shape = shapes[0]
    match step.kind:
        case "map_axis":
            return [value.map_axis(axis, cast("AxisMap", step.arguments[1]), transposed=True)]
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
