"""What `fastrf anchors` does: options to a report or a suggestion, and that to text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fastrf.anchors.boxes.box_set import Boxes
from fastrf.anchors.boxes.readers import read_boxes
from fastrf.anchors.forms.folding import folded
from fastrf.anchors.placing import check_centers
from fastrf.anchors.reports import input_pixels, report
from fastrf.anchors.resize_rules import Resize
from fastrf.anchors.suggestions import Suggestion, suggest
from fastrf.anchors.tables import Report
from fastrf.errors import FormatError, UsageError
from fastrf.system.tables import document, to_json
from fastrf.system.terminal import Progress, progress_bar

if TYPE_CHECKING:
    from fastrf.analysis import Analysis
    from fastrf.cli.options import AnchorOptions

__all__ = ["answer"]


def answer(
    analysis: Analysis,
    asked: AnchorOptions,
    style: str,
    width: int | None,
    looks: Mapping[str, Any],
    *,
    has_input: bool,
) -> str:
    """The text to print or write, a table within a terminal's width: `style` is "table", "json", "csv" or "markdown".

    `looks` are bold letters and the columns of a table, as in `Report.to_text`; `has_input` says whether the input's
    size was given. Raises what `report` raises.
    """
    if asked.form is not None and asked.suggest is None and asked.anchors is None:
        raise UsageError("--form gives anchors to paste; say which with --suggest or --anchors")
    if asked.framework is not None and (asked.suggest is None or asked.form not in (None, asked.framework)):
        raise UsageError("--framework places what --suggest finds, and writes it in the framework's form")
    check_centers(asked.centers, asked.framework)
    unused = [name for name in ("layout", "fraction") if asked.suggest is None and getattr(asked, name) is not None]
    if unused:
        raise UsageError(f"--{unused[0]} is for what --suggest finds; say by which rule")
    with progress_bar("boxes", asked.boxes is not None) as progress:
        boxes = None if asked.boxes is None else _boxes(analysis, asked, has_input)
        found = list(_run(analysis, asked, boxes, progress))
    if asked.form is not None:
        return folded(_pasted(analysis, asked, found[-1]), width)
    if style == "json":
        kinds = [("report" if isinstance(one, Report) else "suggestion", one) for one in found]
        return to_json(document("anchors", **{kind: one.to_records() for kind, one in kinds}))
    if style == "csv" and len(found) > 1:
        raise UsageError("CSV holds one table; ask for --anchors or --suggest alone, or for JSON or Markdown")
    if style == "csv":
        return _report_of(found[0]).to_csv()
    if style == "markdown":
        return "\n\n".join(map(_markdown, found))
    return "\n\n".join(one.to_text(width, explained=k == 0, **looks) for k, one in enumerate(found))


def _run(
    analysis: Analysis, asked: AnchorOptions, boxes: Boxes | None, progress: Progress | None
) -> Iterator[Report | Suggestion]:
    """The report of the anchors given, then what is suggested instead."""
    names = [name.strip() for name in asked.levels.split(",") if name.strip()]
    common: dict[str, Any] = {"resize": _resize(asked, boxes), "threshold": asked.threshold, "progress": progress}
    if asked.suggest is None or asked.anchors is not None:
        yield report(analysis, names, asked.anchors, boxes, exact=asked.exact, **common)
    if asked.suggest is not None:
        common |= {"per_level": asked.per_level, "layout": asked.layout, "fraction": _fraction(asked.fraction)}
        common |= {"centers": asked.centers, "framework": asked.framework or asked.form, "seed": asked.seed}
        yield suggest(analysis, names, boxes, method=asked.suggest, anchors=asked.anchors, **common)


def _fraction(text: str | None) -> float | str | None:
    """A share, or a word that `suggest` knows or refuses."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def _report_of(found: Report | Suggestion) -> Report:
    return found if isinstance(found, Report) else found.report


def _markdown(found: Report | Suggestion) -> str:
    forms = {} if isinstance(found, Report) else found.forms
    parts = [f"```\n{text.rstrip()}\n```" for text in forms.values()]
    return "\n\n".join([_report_of(found).to_markdown(), *parts])


def _boxes(analysis: Analysis, asked: AnchorOptions, has_input: bool) -> Boxes:
    """Boxes, in images of the input's size where the source does not say; then that size must have been given."""
    first = next(iter(analysis.network.inputs))
    size = input_pixels(analysis, None if analysis.wrt in analysis.network.inputs else first)
    boxes = read_boxes(asked.boxes, image_size=size if has_input else None)
    if not boxes.has_image_sizes:
        raise FormatError(
            f"{asked.boxes}: holds no image sizes; give --input (such as 3x{size[0]}x{size[1]}), "
            "the pixels that its boxes are in"
        )
    return boxes


def _resize(asked: AnchorOptions, boxes: Boxes | None) -> Resize | str | None:
    """The rule, with the random scale if there is one."""
    if asked.scale is None or boxes is None:
        return asked.resize
    low, _, high = asked.scale.partition(",")
    try:
        scale = float(low), float(high)
    except ValueError:
        raise UsageError(f"--scale {asked.scale!r} is not a range; write two factors like 0.5,1.5") from None
    return Resize(asked.resize or "letterbox", scale=scale, seed=asked.seed)


def _pasted(analysis: Analysis, asked: AnchorOptions, found: Report | Suggestion) -> str:
    """Only the form asked for; given anchors stay where they stand, unless other centres are asked for."""
    from fastrf.anchors.forms.readers import read_anchors
    from fastrf.anchors.levels import levels_of, spreads
    from fastrf.anchors.placing import check_centers, placed

    form = asked.form or ""
    if isinstance(found, Suggestion):
        return found.to_form(form)
    check_centers(asked.centers, form)
    levels = levels_of(analysis, [row.level for row in found.levels])
    given = read_anchors(asked.anchors, levels, input_pixels(analysis))
    spread = spreads(analysis, levels) if asked.centers == "effective" else ()
    return placed(given, levels, asked.centers, spread=spread, used=given).to_form(form)
