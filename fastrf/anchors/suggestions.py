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
from typing import TYPE_CHECKING, Any

import numpy as np

from fastrf.anchors.boxes.box_set import Boxes
from fastrf.anchors.boxes.readers import read_boxes
from fastrf.anchors.forms.anchor_set import FORMS, Anchors, make_anchors
from fastrf.anchors.forms.builtin import LFFD_LIMITS, by_ratio
from fastrf.anchors.kmeans import clustered
from fastrf.anchors.levels import Level, levels_of, spreads
from fastrf.anchors.reports import input_pixels, report
from fastrf.anchors.resize_rules import Resize, fitted
from fastrf.anchors.tables import Report
from fastrf.errors import FastRFError, NetworkError, UsageError
from fastrf.system.tables import wrapped
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
_RATIOS = {"s3fd": (1.0,), "lffd": (1.0,), "rfla": (0.5, 1.0, 2.0)}


@dataclass(frozen=True, repr=False)
class Suggestion:
    """Anchors that `suggest` found, centred where the neurons look, and the `report` of them.

    `left_out` counts boxes that no level sees, which k-means does not look at; `notes` say what the receptive fields
    cut. `str()` is the report with every form to paste.
    """

    method: str
    anchors: Anchors
    report: Report
    left_out: int
    notes: tuple[str, ...]

    @property
    def forms(self) -> dict[str, str]:
        """What to paste, by form: those of torchvision, mmdetection, YOLO and LFFD that can hold the anchors."""
        found = {}
        for form in FORMS:
            with contextlib.suppress(FastRFError):
                found[form] = self.anchors.to_form(form)
        return found

    def to_form(self, form: str) -> str:
        """As `Anchors.to_form`."""
        return self.anchors.to_form(form)

    def to_torchvision(self) -> Any:
        """As `Anchors.to_torchvision`."""
        return self.anchors.to_torchvision()

    def to_text(self, width: int | None = None) -> str:
        """The report, within a terminal's width if one is given, notes, and every form to paste."""
        pasted = (f"# {form}\n{text}" for form, text in self.forms.items())
        return "\n\n".join([self.report.to_text(width), *("\n".join(wrapped([n], width)) for n in self.notes), *pasted])

    def __repr__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        notes = "".join(f"<div>{html_text(note)}</div>" for note in self.notes)
        pasted = (f"<div><b>{html_text(f)}</b></div><pre>{html.escape(text)}</pre>" for f, text in self.forms.items())
        return self.report._repr_html_() + notes + "".join(pasted)

    def to_records(self) -> dict[str, Any]:
        """As plain mappings and lists: method, anchors by level, notes, forms and report."""
        return {
            "method": self.method,
            "anchors": [sizes.tolist() for sizes in self.anchors.sizes],
            "centers": [list(center) for center in self.anchors.centers or ()],
            "left_out": self.left_out,
            "notes": list(self.notes),
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
    ratios: Sequence[float] | None = None,
    fraction: float | str | None = None,
    centers: str = "nominal",
    resize: Resize | str | None = None,
    threshold: float = 4.0,
    generations: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> Suggestion:
    """Anchors for `levels`, none larger than what its level sees; the same for the same arguments.

    `method` is "kmeans" (`per_level` sizes for each level by k-means on 1 - shape IoU of `boxes` and `generations` of
    small changes, as YOLO's autoanchor), "s3fd" (four strides), "lffd" (up to the share of its field that LFFD's own
    levels use, or `fraction`) or "rfla" (`fraction`, 0.5, of the field, with three ratios); see `docs/anchors.md`.
    `ratios` are heights over widths, `fraction` may be "effective": four sigma of the path weights. Anchors stand at
    the "nominal" `centers` of the fields, or at "effective" ones. The rest is as in `report`. Raises what it raises,
    UnsupportedOpError for "effective" where weights depend on data, NetworkError where a field must be bounded.
    """
    _check(method, per_level, ratios, fraction, centers, generations)
    found = levels_of(analysis, levels)
    spread = spreads(analysis, found) if "effective" in (fraction, centers) else ()
    shares = [min(1.0, *s.fraction) for s in spread] if isinstance(fraction, str) else [fraction] * len(found)
    objects = None if boxes is None else fitted(read_boxes(boxes), input_pixels(analysis), resize)
    if method == "kmeans":
        anchors, left_out = _by_kmeans(found, shares, objects, (per_level, generations, seed))
    else:
        anchors, left_out = _RULES[method](found, shares, ratios or _RATIOS[method]), 0
    anchors, notes = _cut(anchors, found, left_out)
    at = [(s.center[1] + 0.5, s.center[0] + 0.5) for s in spread] if centers == "effective" else None
    anchors = anchors.on(found, at)
    done = report(analysis, levels, anchors, objects, resize="none", threshold=threshold, progress=progress)
    return Suggestion(method, anchors, done, left_out, tuple(notes))


def _check(
    method: str,
    per_level: int,
    ratios: Sequence[float] | None,
    fraction: float | str | None,
    centers: str,
    generations: int,
) -> None:
    if method not in METHODS:
        raise UsageError(f"method {method!r} is unknown; use {', '.join(METHODS)}")
    if not 1 <= per_level <= 100 or not 0 <= generations <= 1_000_000:
        raise UsageError(f"per_level {per_level} must be from 1 to 100, generations {generations} from 0 to a million")
    if ratios is not None and (not ratios or not all(0.01 <= ratio <= 100 for ratio in ratios)):
        raise UsageError(f"ratios {ratios} must be heights over widths from 0.01 to 100")
    if centers not in ("nominal", "effective"):
        raise UsageError(f"centers {centers!r} is unknown; use nominal or effective")
    if fraction not in (None, "effective") and not (isinstance(fraction, int | float) and 0 < fraction <= 1):
        raise UsageError(f"fraction {fraction!r} must be above 0 and at most 1, or 'effective'")


def _by_kmeans(
    levels: Sequence[Level], shares: Shares, boxes: Boxes | None, how: tuple[int, int, int]
) -> tuple[Anchors, int]:
    """Anchors, and how many boxes no level may span; `how` is anchors per level, generations and seed."""
    if boxes is None:
        raise UsageError("method 'kmeans' clusters boxes; give boxes, or use s3fd, lffd or rfla")
    limits = np.array([level.limit for level in levels]) * [[1.0 if s is None else s] for s in shares]
    sizes, left_out = clustered(boxes.sizes, limits, *how)
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


def _cut(anchors: Anchors, levels: Sequence[Level], left_out: int) -> tuple[Anchors, list[str]]:
    """Anchors shrunk, in their shape, to what their level sees; and what was done to anchors and boxes."""
    sizes, notes = [], []
    for level, given in zip(levels, anchors.sizes, strict=True):
        factor = np.minimum(1.0, (np.array(level.limit) / given).min(axis=1, keepdims=True))
        sizes.append(given * factor)
        if (factor < 1).any():
            notes.append(f"{level.name}: {int((factor < 1).sum())} anchors were shrunk to its receptive field")
    if left_out:
        notes.append(f"{left_out} boxes are larger than what any level may span, and were left out")
    return replace(anchors, sizes=tuple(sizes)), notes
