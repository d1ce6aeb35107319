"""Where suggested anchors stand: as the framework places them, as those in use do, or where the neurons look."""

from __future__ import annotations

from collections.abc import Sequence

from fastrf.anchors.forms.anchor_set import FORMS, Anchors, place
from fastrf.anchors.levels import Level, Spread
from fastrf.errors import UsageError

__all__ = ["CENTERS", "check_centers", "placed"]

CENTERS = ("framework", "nominal", "effective")


def check_centers(centers: str, framework: str | None) -> None:
    """Raises UsageError for words that are not known."""
    if centers not in CENTERS:
        raise UsageError(f"centers {centers!r} is unknown; use {', '.join(CENTERS)}")
    if framework is not None and framework not in FORMS:
        raise UsageError(f"framework {framework!r} is unknown; use {', '.join(FORMS)}")


def placed(
    anchors: Anchors,
    levels: Sequence[Level],
    centers: str,
    *,
    spread: Sequence[Spread] = (),
    used: Anchors | None = None,
    framework: str | None = None,
) -> Anchors:
    """The anchors at the `centers` asked for; the framework's are those of anchors in use, where there are some.

    Without either, in the middle of their cells; LFFD's, which have ranges, where the neurons look.
    """
    if centers == "effective":
        return anchors.on(levels, [(s.center[1] + 0.5, s.center[0] + 0.5) for s in spread])
    if centers == "nominal":
        return anchors.on(levels)
    if used is not None:
        return anchors.on(levels, used.center_offset if used.centers is None else used.centers)
    if framework is not None:
        return anchors.on(levels, place(framework, anchors))
    return anchors.on(levels, None if anchors.ranges else 0.5)
