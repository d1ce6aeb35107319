"""suggest(): anchors for the levels of a detector, none larger than what its level sees.

Four rules, each of its own source; `kmeans` has the one that looks at boxes.
"""

from __future__ import annotations

import contextlib
import html
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastrf.anchors.boxes.box_set import Boxes
from fastrf.anchors.boxes.readers import read_boxes
from fastrf.anchors.forms.anchor_set import FORMS, Anchors, Pair, make_anchors, place
from fastrf.anchors.forms.builtin import LFFD_LIMITS, by_ratio
from fastrf.anchors.forms.folding import folded
from fastrf.anchors.forms.readers import read_anchors
from fastrf.anchors.kmeans import clustered
from fastrf.anchors.layouts import fitted_products, octaves, parse_layout
from fastrf.anchors.levels import Level, Spread, levels_of, spreads, through_coarser
from fastrf.anchors.placing import check_centers, placed
from fastrf.anchors.reports import input_pixels, report
from fastrf.anchors.resize_rules import Resize, fitted
from fastrf.anchors.tables import Report
from fastrf.errors import FastRFError, NetworkError, UsageError
from fastrf.system.tables import share, wrapped
from fastrf.system.terminal import Progress
from fastrf.system.texts import html_text

if TYPE_CHECKING:
    from fastrf.analysis import Analysis

__all__ = ["METHODS", "Suggestion", "suggest"]

Shares = Sequence[float | None]

METHODS = ("kmeans", "s3fd", "lffd", "rfla")
#: S3FD's equal-proportion interval: anchors of four strides.
S3FD_INTERVAL = 4.0
#: RFLA's guess of the effective as a share of the theoretical receptive field.
RFLA_FRACTION = 0.5
#: LFFD's smallest face, in strides of its first level.
LFFD_SMALLEST = 2.5
_NO_FRAMEWORK = (
    "the report has them in the middle of their cells, as YOLO does; torchvision, detectron2 and mmdetection place "
    "theirs at position * stride: name a framework, or the anchors in use, to see those"
)
_RATIOS = {"s3fd": (1.0,), "lffd": (1.0,), "rfla": (0.5, 1.0, 2.0)}


@dataclass(frozen=True, repr=False)
class Suggestion:
    """Anchors that `suggest` found, and the `report` of them, which says how far they stand from where neurons look.

    `centers` says where that is: "framework", "nominal", "effective", or "in use" as those that `suggest` was given,
    of which `before` is the report; `looks_at` where the neurons of position (0, 0) look, (x, y) by level. `left_out`
    counts boxes that no level sees, which k-means does not look at; `notes` say what the receptive fields cut. `str()`
    is the report, the verdict, and every form to paste, or the framework's.
    """

    method: str
    anchors: Anchors
    report: Report
    left_out: int
    notes: tuple[str, ...]
    looks_at: tuple[Pair, ...] = ()
    centers: str = "framework"
    framework: str | None = None
    before: Report | None = None

    @property
    def verdict(self) -> str:
        """Recall before and after, in a sentence; nothing without boxes."""
        after, before = self.report.overall, self.before.overall if self.before is not None else {}
        if not after:
            return ""
        least = next(iter(after["recall"]))
        told = [
            (f"recall at IoU >= {least}", share, [o["recall"][least] for o in (before, after) if o]),
            ("best possible recall", share, [o["bpr"] for o in (before, after) if o]),
            ("mean IoU", "{:.4f}".format, [o["mean_iou"] for o in (before, after) if o]),
        ]
        text = ", ".join(f"{name} {' -> '.join(map(show, values))}" for name, show, values in told)
        return f"verdict: {text}" + ("" if before else "; give the anchors in use, too, to see what they reach")

    @property
    def forms(self) -> dict[str, str]:
        """What to paste, by form: the framework's, or those of all that can hold the anchors."""
        found = {}
        for form in FORMS if self.framework is None else (self.framework,):
            with contextlib.suppress(FastRFError):
                found[form] = self.to_form(form)
        return found

    def to_form(self, form: str) -> str:
        """As `Anchors.to_form`; with the framework's centres, at those of this form."""
        return self._as(form).to_form(form)

    def to_torchvision(self) -> Any:
        """As `Anchors.to_torchvision`."""
        return self._as("torchvision").to_torchvision()

    def _as(self, form: str) -> Anchors:
        if self.centers != "framework" or form not in FORMS:
            return self.anchors
        offset = place(form, self.anchors)
        centers = self.looks_at if offset is None else [(offset * x, offset * y) for x, y in self.anchors.strides or ()]
        return replace(self.anchors, centers=tuple(centers))

    def to_text(self, width: int | None = None, **how: Any) -> str:
        """The report, within a terminal's width if one is given, verdict, notes, and what to paste.

        `how` is as in `Report.to_text`.
        """
        told = wrapped([text for text in (self.verdict, *self.notes) if text], width)
        pasted = (f"# {form}\n{folded(text, width)}".rstrip() for form, text in self.forms.items())
        return "\n\n".join(filter(None, [self.report.to_text(width, **how), "\n".join(told), *pasted]))

    def __repr__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        notes = "".join(f"<div>{html_text(note)}</div>" for note in (self.verdict, *self.notes) if note)
        pasted = (f"<div><b>{html_text(f)}</b></div><pre>{html.escape(text)}</pre>" for f, text in self.forms.items())
        return self.report._repr_html_() + notes + "".join(pasted)

    def to_records(self) -> dict[str, Any]:
        """As plain mappings and lists: method, anchors by level and where they stand, verdict, notes, forms, report."""
        return {
            "method": self.method,
            "anchors": [sizes.tolist() for sizes in self.anchors.sizes],
            "centers": [list(center) for center in self.anchors.centers or ()],
            "centers_of": self.centers if self.framework is None else f"{self.centers}: {self.framework}",
            "left_out": self.left_out,
            "notes": list(self.notes),
            "verdict": self.verdict,
            "before": None if self.before is None else self.before.to_records()["overall"],
            "forms": self.forms,
            "report": self.report.to_records(),
        }


def suggest(
    analysis: Analysis,
    levels: Sequence[str] | str,
    boxes: Any = None,
    *,
    method: str = "kmeans",
    per_level: int = 3,
    layout: Sequence[int] | str | None = None,
    ratios: Sequence[float] | None = None,
    fraction: float | str | None = None,
    centers: str = "framework",
    framework: str | None = None,
    anchors: Any = None,
    resize: Resize | str | None = None,
    threshold: float = 4.0,
    generations: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> Suggestion:
    """Anchors for `levels`, none larger than what its level sees; the same for the same arguments.

    `method` is "kmeans" (`per_level` sizes for each level, of `boxes`, by `generations` of changes), "s3fd" (four
    strides), "lffd" (up to LFFD's share of the field, or `fraction`) or "rfla" (`fraction`, 0.5, of the field);
    `docs/anchors.md` has the rules. `layout`, (3, 3) or "3x3", asks for scales times ratios that all levels share,
    `ratios` are heights over widths, `fraction` may be "effective": four sigma of the path weights.

    Anchors stand where `framework` ("torchvision", "detectron2", "mmdetection", "yolo", "lffd") places them, or where
    `anchors`, those in use, do, with which the verdict compares; or at "nominal" or "effective" `centers` of fields.
    The rest is as in `report`. Raises what it raises, UnsupportedOpError for "effective" where weights depend on data,
    NetworkError where a field must be bounded, UsageError for what is not known.
    """
    how = _How(method, per_level, None if layout is None else parse_layout(layout), ratios, fraction, generations, seed)
    how.check()
    check_centers(centers, framework)
    return _suggested(
        analysis, levels, (boxes, resize), how, (centers, framework, anchors), threshold=threshold, progress=progress
    )


def _suggested(
    analysis: Analysis,
    levels: Sequence[str] | str,
    objects: tuple[Any, Resize | str | None],
    how: _How,
    where: tuple[str, str | None, Any],
    **common: Any,
) -> Suggestion:
    """What `suggest` gives: `objects` are boxes and their resizing, `where` centres, framework and anchors in use."""
    centers, framework, in_use = where
    found, size = levels_of(analysis, levels), input_pixels(analysis)
    used = None if in_use is None else read_anchors(in_use, found, size)
    spread = spreads(analysis, found) if "effective" in (how.fraction, centers) else ()
    boxes = None if objects[0] is None else fitted(read_boxes(objects[0]), size, objects[1])
    made, left_out, notes = how.made(found, spread, boxes)
    made = placed(made, found, centers, spread=spread, used=used, framework=framework)
    looks_at = made.on(found).centers or ()
    done = report(analysis, levels, made, boxes, resize="none", **common)
    before = None if used is None else report(analysis, levels, used, boxes, resize="none", effective=False, **common)
    notes += _topdown(analysis, found, made) if how.method == "rfla" else []
    notes += _steps(found, size) if framework == "torchvision" else []
    counts = [[*map(len, one.sizes)] for one in (made, used) if one is not None]
    if counts[0] != counts[-1]:
        per, was = (" ".join(map(str, dict.fromkeys(row))) for row in counts)
        notes.append(f"{per} anchors a position, where {was} are in use: a trained head does not fit them")
    if centers == "framework" and used is not None:
        centers = "in use"
    elif centers == "framework" and framework is None and made.ranges is None:
        notes.append(_NO_FRAMEWORK)
    return Suggestion(how.method, made, done, left_out, tuple(notes), looks_at, centers, framework, before)


class _How(NamedTuple):
    """What anchors to make."""

    method: str
    per_level: int
    layout: tuple[int, int] | None
    ratios: Sequence[float] | None
    fraction: float | str | None
    generations: int
    seed: int

    def check(self) -> None:
        """Raise UsageError for what is not known."""
        ratios, fraction = self.ratios, self.fraction
        if self.method not in METHODS:
            raise UsageError(f"method {self.method!r} is unknown; use {', '.join(METHODS)}")
        if not 1 <= self.per_level <= 100 or not 0 <= self.generations <= 1_000_000:
            raise UsageError(
                f"per_level {self.per_level} must be from 1 to 100, generations {self.generations} from 0 to a million"
            )
        if ratios is not None and (not ratios or not all(0.01 <= ratio <= 100 for ratio in ratios)):
            raise UsageError(f"ratios {ratios} must be heights over widths from 0.01 to 100")
        if self.layout is not None and ratios is not None and len(ratios) != self.layout[1]:
            raise UsageError(f"layout {self.layout[0]}x{self.layout[1]} has {self.layout[1]} ratios, not {len(ratios)}")
        if fraction not in (None, "effective") and not (isinstance(fraction, int | float) and 0 < fraction <= 1):
            raise UsageError(f"fraction {fraction!r} must be above 0 and at most 1, or 'effective'")

    def made(
        self, levels: Sequence[Level], spread: Sequence[Spread], boxes: Boxes | None
    ) -> tuple[Anchors, int, list[str]]:
        """Anchors, how many boxes no level may span, and what was done to both."""
        given = self.fraction
        shares = [min(1.0, *s.fraction) for s in spread] if isinstance(given, str) else [given] * len(levels)
        anchors, left_out = self._by_kmeans(levels, shares, boxes) if self.method == "kmeans" else (None, 0)
        if anchors is None:
            scales, ratios = ([1.0], _RATIOS[self.method]) if self.layout is None else octaves(self.layout)
            anchors = _RULES[self.method](levels, shares, self.ratios or ratios)
            sizes = tuple((given[:, None] * np.array(scales)[:, None]).reshape(-1, 2) for given in anchors.sizes)
            anchors = replace(anchors, sizes=sizes)
        return _cut(anchors, levels, left_out, alike=self.layout is not None)

    def _by_kmeans(self, levels: Sequence[Level], shares: Shares, boxes: Boxes | None) -> tuple[Anchors, int]:
        """Anchors, and how many boxes no level may span."""
        if boxes is None:
            raise UsageError("method 'kmeans' clusters boxes; give boxes, or use s3fd, lffd or rfla")
        limits = np.array([level.limit for level in levels]) * [[1.0 if s is None else s] for s in shares]
        # by stride first: behind a top-down path a coarse level may see less than a fine one
        order = np.lexsort((limits.prod(axis=1), [level.stride[0] * level.stride[1] for level in levels]))
        if self.layout is None:
            sizes, left_out = clustered(boxes.sizes, limits, self.per_level, self.generations, self.seed, order)
        else:
            sizes, left_out = fitted_products(boxes.sizes, limits, self.layout, self.generations, self.seed, order)
        return make_anchors("kmeans", sizes), left_out


def _s3fd(levels: Sequence[Level], _: Shares, ratios: Sequence[float]) -> Anchors:
    sizes = [[by_ratio(S3FD_INTERVAL * min(level.stride), ratio) for ratio in ratios] for level in levels]
    return make_anchors("s3fd", sizes)


def _rfla(levels: Sequence[Level], shares: Shares, ratios: Sequence[float]) -> Anchors:
    sizes = []
    for level, given in zip(levels, shares, strict=True):
        share = RFLA_FRACTION if given is None else given
        width, height = _bounded(level)
        sizes.append([(share * width / math.sqrt(ratio), share * height * math.sqrt(ratio)) for ratio in ratios])
    return make_anchors("rfla", sizes)


def _lffd(levels: Sequence[Level], shares: Shares, ratios: Sequence[float]) -> Anchors:
    """Ranges that follow each other; levels that would end at the same size share their range in equal proportions."""
    ends = [_lffd_end(min(_bounded(level)), share) for level, share in zip(levels, shares, strict=True)]
    low = min(LFFD_SMALLEST * min(levels[0].stride), ends[0] / 2**0.5)
    ranges: list[tuple[float, float]] = []
    for begin in [k for k in range(len(ends)) if k == 0 or ends[k] > max(ends[:k])]:
        last = next((k for k in range(begin + 1, len(ends)) if ends[k] > ends[begin]), len(ends))
        inner = np.geomspace(low, ends[begin], last - begin + 1)[1:-1].tolist()
        steps = [low, *inner, ends[begin]]
        ranges += list(itertools.pairwise(steps))
        low = ends[begin]
    middles = [(low + high) / 2 for low, high in ranges]
    return make_anchors("lffd", [[by_ratio(side, ratio) for ratio in ratios] for side in middles], ranges=tuple(ranges))


def _lffd_end(field: float, share: float | None) -> float:
    """The largest object of a level: a share of its field, or the share that LFFD has at that field."""
    if share is not None:
        return share * field
    fields, largest = np.array(LFFD_LIMITS, np.float64).T
    return round(float(np.interp(np.log(field), np.log(fields), largest / fields)) * field, 6)


_RULES = {"s3fd": _s3fd, "lffd": _lffd, "rfla": _rfla}


def _bounded(level: Level) -> tuple[float, float]:
    if not all(map(math.isfinite, level.limit)):
        raise NetworkError(f"level {level.name!r} sees the whole image; use method s3fd or kmeans")
    return level.limit


def _topdown(analysis: Analysis, levels: Sequence[Level], anchors: Anchors) -> list[str]:
    """What is wrong with a share of the field where levels see through a coarser one: each sees as much as that."""
    found = [
        f"{level.name} ({float(np.median(sizes.prod(axis=1) ** 0.5)):.4g} pixels on stride {min(level.stride):g})"
        for level, sizes in zip(levels, anchors.sizes, strict=True)
        if through_coarser(analysis.network, level.node) is not None
    ]
    rest = "; its authors took the backbone's fields: name the backbone's levels, or use another method"
    told = f"rfla: {', '.join(found)}: top-down, through a coarser map, so the field says nothing of the objects{rest}"
    return [told] if found else []


def _steps(levels: Sequence[Level], size: tuple[int, int]) -> list[str]:
    """Where torchvision's step, the image by the map in whole pixels, is not the level's stride."""
    notes = []
    for level in levels:
        steps = [pixels // cells for pixels, cells in zip(size, level.grid, strict=True)]
        drifts = [(n - 1) * abs(own - step) for n, own, step in zip(level.grid, level.stride, steps, strict=True)]
        if max(drifts) >= 1 and all(map(math.isfinite, drifts)):
            k = int(np.argmax(drifts))
            notes.append(
                f"{level.name}: torchvision steps {steps[k]} pixels, the image by the map, the neurons "
                f"{level.stride[k]:g}: its last anchor stands {drifts[k]:g} pixels short; "
                "inputs that strides divide have none of it"
            )
    return notes


def _cut(anchors: Anchors, levels: Sequence[Level], left_out: int, *, alike: bool) -> tuple[Anchors, int, list[str]]:
    """Anchors shrunk, in their shape, to what their level sees, all of a level alike where they are products.

    With what was left out, and what was done to anchors and boxes.
    """
    sizes, notes = [], []
    for level, given in zip(levels, anchors.sizes, strict=True):
        factor = np.minimum(1.0, (np.array(level.limit) / given).min(axis=1, keepdims=True))
        factor = np.full_like(factor, factor.min()) if alike else factor
        sizes.append(given * factor)
        if (factor < 1).any():
            notes.append(f"{level.name}: {int((factor < 1).sum())} anchors were shrunk to its receptive field")
    if left_out:
        notes.append(f"{left_out} boxes are larger than what any level may span, and were left out")
    return replace(anchors, sizes=tuple(sizes)), left_out, notes
