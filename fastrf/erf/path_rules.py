"""Which paths an operator has, and what weight they carry: the conventions of the effective receptive field.

Called by `path_walks`, once per layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastrf.engine.recipe import Recipe, Step
from fastrf.errors import UnsupportedOpError, UsageError
from fastrf.network import Node

__all__ = ["KERNELS", "NONLINEAR", "Rule", "check_options", "rule_of"]

Shape = tuple[int, ...]

#: What the weights of kernels are: all 1, or all one divided by how many inputs an output reads.
KERNELS = ("ones", "fan_in")
#: What to do at operators whose weights depend on data: raise, or count whatever is read as one path.
NONLINEAR = ("raise", "count")

#: Normalisation: a value passes through it; what else its statistics read is not counted.
_THROUGH = ("layer_norm", "rms_norm", "l2_normalize", "group_norm", "instance_norm", "local_response_norm")
_BY_DATA = (
    *("softmax", "log_softmax", "softmin", "attention", "recurrent", "std", "var", "argmax", "argmin", "sort", "topk"),
    *("dynamic_gather", "grid_sample", "deform_conv", "opaque"),
)
_MEANS = (
    *("adaptive_avg_pool", "adaptive_max_pool", "global_avg_pool", "global_max_pool"),
    *("mean", "max", "min", "norm", "logsumexp", "any", "all", "squeeze_excitation"),
)


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


def rule_of(node: Node, shapes: Sequence[Shape], kernels: str, nonlinear: str) -> Rule:
    """How a layer with inputs of `shapes` passes path weights on.

    Raises UnsupportedOpError, naming the node, for an operator that gives its paths no fixed weight.
    """
    if node.op in _THROUGH:
        return Rule(Recipe(1, (), 0, node.shape, node.channel_axis, False), False, 1.0)
    if (node.op in _BY_DATA or node.recipe.approximate) and nonlinear == "raise":
        raise UnsupportedOpError(
            f"node {node.name!r} ({node.op}): its weights depend on data, so its paths have none of their own; "
            "choose a node before it, or nonlinear='count' to count everything that it reads once"
        )
    fan_in = kernels == "fan_in"
    count = _FAN_IN.get(node.op)
    factor = 1 / max(count(node.attributes, shapes, node.shape), 1) if fan_in and count else 1.0
    recipe = _gated(node) if node.op == "squeeze_excitation" and not fan_in else node.recipe
    return Rule(recipe, node.op == "resize" or (fan_in and node.op in _MEANS), factor)


def _gated(node: Node) -> Recipe:
    """The recipe of squeeze and excitation with a path through each squeezed channel."""
    recipe = node.recipe
    gate = recipe.n_inputs + len(recipe.steps) - 2
    ways = (Step("insert", (0, node.attributes["squeeze_channels"]), (gate,)), Step("reduce", (0,), (gate + 1,)))
    steps = (*recipe.steps[:-1], *ways, Step("union", (), (0, gate + 2)))
    return replace(recipe, steps=steps, result=recipe.n_inputs + len(steps) - 1)


def _taps(attributes: Mapping[str, Any], n_axes: int) -> int:
    kernel = attributes["kernel_size"]
    return math.prod(kernel) if isinstance(kernel, list | tuple) else int(kernel) ** n_axes


def _conv(attributes: Mapping[str, Any], shapes: Sequence[Shape], output: Shape) -> float:
    return _taps(attributes, len(output) - 1) * shapes[0][0] / int(attributes.get("groups", 1))


def _conv_transpose(attributes: Mapping[str, Any], shapes: Sequence[Shape], output: Shape) -> float:
    stride = attributes.get("stride", 1)
    steps = math.prod(stride) if isinstance(stride, list | tuple) else int(stride) ** (len(output) - 1)
    return _conv(attributes, shapes, output) / steps


def _pool(attributes: Mapping[str, Any], _: Sequence[Shape], output: Shape) -> float:
    return _taps(attributes, len(output) - 1)


def _table_row(attributes: Mapping[str, Any], shapes: Sequence[Shape], output: Shape) -> float:
    return _taps(attributes, len(output) - 1) * shapes[0][0]


def _last(_: Mapping[str, Any], shapes: Sequence[Shape], __: Shape) -> float:
    return shapes[0][-1]


_FAN_IN: dict[str, Callable[[Mapping[str, Any], Sequence[Shape], Shape], float]] = {
    "conv": _conv,
    "deform_conv": _conv,
    "conv_transpose": _conv_transpose,
    "depthwise_conv": _pool,
    "max_pool": _pool,
    "avg_pool": _pool,
    "lp_pool": _pool,
    "window": _table_row,
    "linear": _last,
    "matmul": _last,
}
