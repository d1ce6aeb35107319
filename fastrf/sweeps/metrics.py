"""Metrics: the columns of a sweep's table, what each is worked out from, and the field behind a state of a column.

A metric of the exact or of the nominal state is worked out once per distinct state and gathered; a user's own metric
once per distinct field. `figures` asks for them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from fastrf.analysis import Analysis
from fastrf.engine.dependency import Dependency
from fastrf.engine.factors import Factors
from fastrf.engine.nominal import Nominal
from fastrf.engine.relation import Relation
from fastrf.engine.terms import Group, normal_term
from fastrf.errors import FastRFError, UsageError, did_you_mean
from fastrf.field import ReceptiveField
from fastrf.ops import find
from fastrf.spaces.columns.states import Exact, Unbounded
from fastrf.sweeps.products import Product, product_of
from fastrf.system.locks import cached_property

__all__ = [
    "DEFAULT",
    "Facts",
    "Metric",
    "axis_names",
    "field_of",
    "layers_beyond",
    "metrics_named",
    "on_one_line",
]

Value = float | int | bool | None
Values = tuple[Value, ...]


class Facts:
    """A field, and what several metrics need of it."""

    def __init__(self, field: ReceptiveField) -> None:
        self.field = field

    @cached_property
    def areas(self) -> npt.NDArray[np.int64]:
        """int64[*out]: exact pixel counts."""
        return self.field.areas()

    @cached_property
    def product(self) -> Product | None:
        """What all positions say together, where nothing needs to be counted position by position."""
        return product_of(self.field.positional)


@dataclass(frozen=True)
class Metric:
    """A metric: its columns' names and kinds, its source, and the function that gives its value, or one per axis.

    `kind` is "float", "int" or "bool"; `per_axis` gives one column per spatial axis. `source` says what `compute`
    reads: the "exact" or the "nominal" part of a ReceptiveField, the whole "field", or nothing because the walk over
    the layers gives it ("network").
    """

    name: str
    kind: str
    source: str
    compute: Callable[[Facts], Any] | None = None
    per_axis: bool = False

    def columns(self, n_axes: int) -> tuple[str, ...]:
        """Names of the columns for maps of so many spatial axes."""
        return tuple(f"{self.name}_{axis}" for axis in axis_names(n_axes)) if self.per_axis else (self.name,)

    def values(self, facts: Facts) -> Values:
        """What stands in the columns."""
        assert self.compute is not None
        found = self.compute(facts)
        return tuple(found) if self.per_axis else (found,)

    def tried(self, facts: Facts) -> Values | str:
        """The values, or why there are none."""
        try:
            return self.values(facts)
        except FastRFError as error:
            return f"metric {self.name!r}: {error}"
        except Exception as error:  # a user's own function may raise anything
            return f"metric {self.name!r}: {type(error).__name__}: {on_one_line(error)}"


def on_one_line(error: BaseException) -> str:
    """What an error says, shortened."""
    return " ".join(str(error).split())[:200]


def axis_names(n_axes: int) -> tuple[str, ...]:
    """What the spatial axes are called in columns: `x`; `y, x`; `z, y, x`; beyond that numbers."""
    return ("z", "y", "x")[3 - n_axes :] if n_axes <= 3 else tuple(map(str, range(n_axes)))


def _area(name: str, reduced: Callable[[npt.NDArray[np.int64]], Any], facts: Facts) -> Value:
    found: Value = None
    if facts.product is not None:
        found = getattr(facts.product, name)
    elif facts.areas.size:
        found = reduced(facts.areas).item()
    return found


def _density(facts: Facts) -> Value:
    if facts.product is not None and facts.product.is_dense:
        return 1.0
    if not facts.areas.size:
        return None
    boxes = facts.field.boxes()
    box_areas = np.prod(boxes[..., 1] - boxes[..., 0], axis=-1)
    return float((facts.areas / np.maximum(box_areas, 1)).mean())


def _blind_pixels(facts: Facts) -> Value:
    if facts.product is not None:
        return math.prod(facts.field.pixel_shape) - facts.product.seen
    return int((facts.field.coverage() == 0).sum())


def _sees_everything(facts: Facts) -> Value:
    pixels = math.prod(facts.field.pixel_shape)
    return facts.product.area_min == pixels if facts.product is not None else bool((facts.areas == pixels).all())


#: Every metric by its name, in the order of the table's columns.
_METRICS = {
    metric.name: metric
    for metric in (
        Metric("size", "float", "nominal", attrgetter("field.size"), per_axis=True),
        Metric("stride", "float", "nominal", attrgetter("field.stride"), per_axis=True),
        Metric("center", "float", "nominal", attrgetter("field.center"), per_axis=True),
        Metric("area_min", "int", "exact", partial(_area, "area_min", np.min)),
        Metric("area_mean", "float", "exact", partial(_area, "area_mean", np.mean)),
        Metric("area_max", "int", "exact", partial(_area, "area_max", np.max)),
        Metric("density", "float", "exact", _density),
        Metric("clipped_share", "float", "nominal", attrgetter("field.clipped_share")),
        Metric("blind_pixels", "int", "exact", _blind_pixels),
        Metric("sees_everything", "bool", "exact", _sees_everything),
        Metric("layers_beyond", "int", "network"),
        Metric("parameters", "int", "network"),
        Metric("macs", "int", "network"),
    )
}

#: The names of all built-in metrics: what a sweep gives where nothing is asked for.
DEFAULT = tuple(_METRICS)


def metrics_named(wanted: Iterable[Any] | None) -> tuple[Metric, ...]:
    """Metrics by name; a callable of a ReceptiveField is a metric under its own name, a pair `(name, callable)` too.

    None means all built-in ones. Raises UsageError for an unknown or repeated name.
    """
    names = DEFAULT if wanted is None else [wanted] if isinstance(wanted, str) or callable(wanted) else list(wanted)
    found = [_metric(name) for name in names]
    if not found:
        raise UsageError(f"no metrics are asked for; choose some of {', '.join(DEFAULT)}")
    seen: set[str] = {"id", "ok", "error"}
    for metric in found:
        if metric.name in seen:
            raise UsageError(f"column {metric.name!r} is there twice; give each metric a name of its own")
        seen.add(metric.name)
    return tuple(found)


def _metric(wanted: Any) -> Metric:
    if isinstance(wanted, Metric):
        return wanted
    if isinstance(wanted, tuple | list) and len(wanted) == 2 and isinstance(wanted[0], str) and callable(wanted[1]):
        return Metric(wanted[0], "float", "field", _Own(wanted[1]))
    if callable(wanted):
        return Metric(getattr(wanted, "__name__", type(wanted).__name__), "float", "field", _Own(wanted))
    known = _METRICS.get(wanted) if isinstance(wanted, str) else None
    if known is None:
        hint = did_you_mean(wanted, DEFAULT, "check its spelling;")
        raise UsageError(f"unknown metric {str(wanted)[:60]!r}; {hint} the metrics are {', '.join(DEFAULT)}")
    return known


@dataclass(frozen=True)
class _Own:
    """A user's function of a field as a metric; it gives a number or None. Picklable where the function is."""

    function: Callable[[ReceptiveField], Any]

    def __call__(self, facts: Facts) -> Value:
        value = self.function(facts.field)
        if value is not None and not isinstance(value, bool | int | float | np.number | np.bool_):
            raise UsageError(f"a metric must give a number, not {type(value).__name__}")
        return None if value is None else float(value)


# The field behind a state -----------------------------------------------------------------------------------------


def field_of(exact: Exact, nominal: Unbounded, image: Sequence[int], channels: int = 1) -> ReceptiveField:
    """The ReceptiveField of a map of a column program: its positions, with all channels as one.

    Its `shape` is `(1, *map)` and its `input_shape` `(channels, *image)`.
    """
    axes, shape = Factors.of((1, *exact.shape)), (channels, *image)
    terms = []
    for term in exact.terms:
        groups = [Group(tuple(axes.at(axis)), (axis,), relation) for axis, relation in enumerate(term, 1)]
        normal = normal_term([Group((), (0,), Relation.full(1, channels)), *groups], axes.sizes, shape)
        if normal is not None:
            terms.append(normal)
    extents = tuple(extent.renumbered([k]) for k, extent in enumerate(nominal.extents))
    steps = tuple(max(1, *(abs(phase.shift) for phase in extent.phases)) if extent.phases else 1 for extent in extents)
    return ReceptiveField(
        Dependency(shape, axes, terms),
        channel_axis=0,
        input_channel_axis=0,
        approximate_at=(),
        nominal=lambda: Nominal.of(nominal.shape, extents),
        periods=lambda: steps,
        name="output",
    )


# What the walk over the layers gives ------------------------------------------------------------------------------


def layers_beyond(analysis: Analysis, output: str) -> int:
    """How many convolutions that `output` needs read a map whose nominal size already covers the image."""
    beyond = 0
    for node in analysis.network.needed([output]):
        if find(node.op).convolution:
            field = analysis[node.inputs[0]]
            beyond += all(size >= n for size, n in zip(field.size, field.pixel_shape, strict=True))
    return beyond
