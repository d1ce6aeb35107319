"""Figures: what rules may ask of a node, by name, with what each is in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastrf.checks.rules import Anchoring
from fastrf.errors import FastRFError, UsageError, did_you_mean
from fastrf.network import Network, Node, split_name, total
from fastrf.system.locks import cached_property

if TYPE_CHECKING:
    from fastrf.analysis import Analysis
    from fastrf.anchors.tables import LevelRow, Report
    from fastrf.field import ReceptiveField
    from fastrf.queries.halo import Halo

__all__ = ["FIGURES", "Figure", "Subject", "figure_named"]

Value = Any
#: Subjects that are no nodes.
NETWORK, ANCHORS = "network", "anchors"


@dataclass(frozen=True)
class Asked:
    """An analysis, and the anchors and boxes that are laid over it when a figure first asks for them."""

    analysis: Analysis
    anchoring: Anchoring

    def level(self, name: str) -> str:
        """The node of a name, which may be one of the levels: in other letters, or a key of what a module returns."""
        from fastrf.anchors.levels import levels_of

        given = self.anchoring.levels
        nodes = [level.node for level in levels_of(self.analysis, given)] if name in given else [name]
        return nodes[given.index(name) if name in given else 0]

    @cached_property
    def report(self) -> Report:
        """How anchors fit boxes. Raises UsageError where there are none."""
        from fastrf.anchors import report

        given = self.anchoring
        if given.anchors is None or not given.levels:
            raise UsageError(
                "it asks for anchors; give --anchors and --levels, or [anchors] in rules.toml with anchors and levels"
            )
        options: dict[str, Any] = {"resize": given.resize, "threshold": given.threshold, "effective": False}
        return report(self.analysis, given.levels, given.anchors, given.boxes, **options)


class Subject:
    """What a rule speaks of: a node by its name, `network` or `anchors`."""

    def __init__(self, asked: Asked, name: str, field: ReceptiveField | None) -> None:
        self.asked, self.name, self._field = asked, name, field

    @property
    def field(self) -> ReceptiveField:
        """The node's field. Raises UsageError for a subject that is no node."""
        if self._field is None:
            raise UsageError(f"{self.name!r} is no node and has no such figure; ask a node")
        return self._field

    @cached_property
    def halo(self) -> Halo:
        """See `ReceptiveField.halo`."""
        return self.field.halo()

    @property
    def nodes(self) -> Sequence[Node]:
        """The layers that the name stands for: of a module all of its calls."""
        network = self.asked.analysis.network
        return network.nodes if self._field is None else _nodes(network, self.name, self._field.name)

    @property
    def level(self) -> LevelRow:
        """The level of anchors that this is. Raises UsageError for another node."""
        report, given = self.asked.report, self.asked.anchoring.levels
        for row, level in zip(report.levels, given, strict=True):
            if self.field.name == self.asked.level(level):
                return row
        raise UsageError(f"{self.name!r} is no level of the anchors, which stand on {', '.join(given)}")

    def of_boxes(self, key: str) -> float | None:
        """A figure of anchors on boxes: of a level, or of all together."""
        if self.asked.report and self.asked.anchoring.boxes is None:
            raise UsageError("it asks for boxes; give --boxes, or [boxes] in rules.toml with file")
        if self._field is None and self.name == ANCHORS:
            return self.asked.report.overall[key]  # type: ignore[no-any-return]
        return getattr(self.level, key)  # type: ignore[no-any-return]

    def metric(self, name: str) -> Value:
        """A metric of sweeps."""
        from fastrf.sweeps.metrics import Facts, metrics_named

        if self._facts is None:
            self._facts = Facts(self.field)
        return metrics_named([name])[0].values(self._facts)[0]

    _facts: Any = None


def _nodes(network: Network, name: str, node: str) -> list[Node]:
    module = split_name(name)[0]
    within = [one for one in network.nodes if any(split_name(inner)[0] == module for inner in one.scope)]
    if within or name in network.by_name:
        return within or [network.by_name[name]]
    below = [one for one in network.nodes if one.name.startswith(f"{name}.")]
    return below or [network.by_name[node]] if node in network.by_name else below


@dataclass(frozen=True)
class Figure:
    """A figure: what it is in words, and its value; with `axes`, a value per axis of so many."""

    name: str
    about: str
    value: Callable[..., Value]
    axes: Callable[[Subject], int] | None = None

    def values(self, subject: Subject, axis: int | None) -> Value | tuple[Value, ...]:
        """The value, or those of all axes. Raises UsageError for an axis that is not there or a figure that is not."""
        if self.axes is None:
            if axis is not None:
                raise UsageError(f"{self.name} is one value, without axes; leave [{axis}] out")
            return _plain(self.value(subject))
        n = self.axes(subject)
        if axis is None:
            return tuple(_plain(self.value(subject, k)) for k in range(n))
        if not -n <= axis < n:
            told = f"axes 0 to {n - 1}" if n > 1 else f"{n} ax{'i' if n == 1 else 'e'}s"
            raise UsageError(f"{self.name} of {subject.name!r} has {told}, not [{axis}]")
        return _plain(self.value(subject, axis % n))


def _plain(value: Value) -> Value:
    """A truth or number as Python has it; NaN where there is none."""
    plain = value.item() if isinstance(value, np.generic) else value
    return math.nan if plain is None else plain


def _pixel_axes(subject: Subject) -> int:
    return len(subject.field.pixel_shape)


def _of_field(name: str) -> Callable[[Subject, int], Value]:
    return lambda subject, axis: getattr(subject.field, name)[axis]


def _asking(name: str) -> Callable[[Subject, int], Value]:
    return lambda subject, axis: getattr(subject.field, name)(axis)


def _offset(shift: float) -> Callable[[Subject, int], Value]:
    """How far centres lie from `(i + shift) * stride` at most."""

    def offset(subject: Subject, axis: int) -> float:
        bounds, stride = subject.field.phases(axis), subject.field.stride[axis]
        if not (np.isfinite(bounds).all() and math.isfinite(stride)):
            return math.nan
        middle = bounds.mean(axis=1) - (np.arange(len(bounds)) + shift) * stride
        return float(abs(middle).max())

    return offset


def _anchor_offset(subject: Subject, axis: int) -> float:
    offset = subject.level.offset
    return math.nan if offset is None else max(map(abs, offset[axis]))


def _cost(name: str) -> Callable[[Subject], Value]:
    return lambda subject: total(getattr(node, name) for node in subject.nodes)


def _shared(subject: Subject) -> int:
    return len(subject.halo.before)


def _metric(name: str) -> Callable[[Subject], Value]:
    return lambda subject: subject.metric(name)


def _on_boxes(name: str) -> Callable[[Subject], Value]:
    return lambda subject: subject.of_boxes(name)


#: By name, in the order in which pages list them. Per axis means per axis of the input's pixels.
FIGURES = {
    figure.name: figure
    for figure in (
        Figure("shape", "output shape without the batch, per axis", _of_field("shape"), lambda s: len(s.field.shape)),
        Figure("size", "receptive field in pixels, the largest over phases, per axis", _of_field("size"), _pixel_axes),
        Figure("size_min", "the smallest over phases, per axis", lambda s, k: s.field.size_range[k][0], _pixel_axes),
        Figure("stride", "effective stride, per axis", _of_field("stride"), _pixel_axes),
        Figure("start", "centre of the first position, 0.5 that of pixel 0, per axis", _of_field("start"), _pixel_axes),
        Figure("center", "the same as an index: start - 0.5, per axis", _of_field("center"), _pixel_axes),
        Figure("padding", "effective padding, per axis", _of_field("padding"), _pixel_axes),
        Figure("area_min", "exact pixels that a position sees, the fewest", _metric("area_min")),
        Figure("area_mean", "the same, on average", _metric("area_mean")),
        Figure("area_max", "the same, the most", _metric("area_max")),
        Figure("density", "area divided by that of the tight box, on average", _metric("density")),
        Figure("clipped", "share of positions that a border cuts, 0 to 1", lambda s: s.field.clipped_share),
        Figure("blind", "pixels that no position sees", _metric("blind_pixels")),
        Figure("exact", "whether every step on the way is exact", lambda s: s.field.exact),
        Figure("approximate_at", "how many nodes on the way are not", lambda s: len(s.field.approximate_at)),
        Figure("assumes", "how many things are taken for granted", lambda s: len(s.field.assumes)),
        Figure("halo", "context of a tile, the larger of both sides", lambda s, k: max(_sides(s, k)), _shared),
        Figure("halo_before", "context before a tile, per axis", lambda s, k: s.halo.before[k], _shared),
        Figure("halo_after", "context after a tile, per axis", lambda s, k: s.halo.after[k], _shared),
        Figure("period", "tiles begin at multiples of it, per axis", lambda s, k: s.halo.period[k], _shared),
        Figure("lookback", "samples before its own that a step reads, per axis", _asking("lookback"), _pixel_axes),
        Figure("lookahead", "samples after its own that a step reads, per axis", _asking("lookahead"), _pixel_axes),
        Figure("is_causal", "whether no step reads later ones, per axis", _asking("is_causal"), _pixel_axes),
        Figure("offset", "how far centres lie from (i + 0.5) * stride, per axis", _offset(0.5), _pixel_axes),
        Figure("offset_corner", "how far centres lie from i * stride, per axis", _offset(0.0), _pixel_axes),
        Figure("anchor_offset", "how far centres lie from those of anchors, per axis", _anchor_offset, _pixel_axes),
        Figure("bpr", "best possible recall of anchors on boxes: of a level, or anchors.bpr", _on_boxes("bpr")),
        Figure("aat", "anchors above threshold per box: of a level, or anchors.aat", _on_boxes("aat")),
        Figure("mean_iou", "mean best shape IoU of boxes and anchors, likewise", _on_boxes("mean_iou")),
        Figure("unseen", "boxes larger than any receptive field: anchors.unseen", _on_boxes("unseen")),
        Figure("parameters", "parameters of a layer or module, or network.parameters", _cost("parameters")),
        Figure("macs", "multiply-accumulates, likewise", _cost("macs")),
    )
}


def _sides(subject: Subject, axis: int) -> tuple[float, float]:
    return subject.halo.before[axis], subject.halo.after[axis]


def figure_named(name: str) -> Figure:
    """A figure. Raises UsageError for a name that none has, with those like it."""
    found = FIGURES.get(name)
    if found is None:
        hint = did_you_mean(name, FIGURES, f"there are {', '.join(FIGURES)}")
        raise UsageError(f"there is no figure {name[:60]!r}; {hint}")
    return found


def told(subject: Subject, figure: Figure, axis: int | None) -> Value | tuple[Value, ...]:
    """The value of a figure. Raises UsageError where the field has it not."""
    try:
        return figure.values(subject, axis)
    except UsageError:
        raise
    except FastRFError as error:
        raise UsageError(f"{subject.name!r} has no {figure.name}: {error}") from error
