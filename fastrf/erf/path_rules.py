"""Which paths an operator has, and what weight they carry: the conventions of the effective receptive field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastrf.engine.recipe import Recipe
from fastrf.errors import UnsupportedOpError, UsageError
from fastrf.network import Node
from fastrf.ops import find

__all__ = ["KERNELS", "NONLINEAR", "Rule", "check_options", "rule_of"]

#: What the weights of kernels are: all 1, or all one divided by how many inputs an output reads.
KERNELS = ("ones", "fan_in")
#: What to do at operators whose weights depend on data: raise, or count whatever is read as one path.
NONLINEAR = ("raise", "count")


@dataclass(frozen=True)
class Rule:
    """Steps to replay as sums (or, with `average`, as means), and a factor on what comes out."""

    recipe: Recipe
    average: bool
    factor: float


def check_options(kernels: str, nonlinear: str) -> None:
    """UsageError for an unknown value of either option."""
    for value, known, name in ((kernels, KERNELS, "kernels"), (nonlinear, NONLINEAR, "nonlinear")):
        if value not in known:
            raise UsageError(f"{name} {value!r} is unknown; use one of {', '.join(known)}")


def rule_of(node: Node, shapes: Sequence[tuple[int, ...]], kernels: str, nonlinear: str) -> Rule:
    """How a layer with inputs of `shapes` passes path weights on.

    Raises UnsupportedOpError, naming the node, for an operator that gives its paths no fixed weight.
    """
    facts, fan_in = find(node.op), kernels == "fan_in"
    if facts.paths == "through":
        return Rule(Recipe(1, (), 0, node.shape, node.channel_axis, False), False, 1.0)
    if (facts.paths == "data" or node.recipe.approximate) and nonlinear == "raise":
        raise UnsupportedOpError(
            f"node {node.name!r} ({node.op}): its weights depend on data, so its paths have none of their own; "
            "choose a node before it, or nonlinear='count' to count everything that it reads once"
        )
    factor = 1 / max(facts.fan_in(node.attributes, shapes, node.shape), 1) if fan_in else 1.0
    return Rule(node.recipe, facts.paths == "weighted" or (fan_in and facts.paths == "mean"), factor)
