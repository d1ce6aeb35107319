"""The command `fastrf report`, which `fastrf.cli.commands` registers."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from fastrf.cli.options import Output, Source, option
from fastrf.errors import FastRFError
from fastrf.system import terminal

__all__ = ["report"]

_OTHER = "Another model, to compare: what changed from MODEL to it."
_IMAGE = "An image under the pixels, stretched to the input; needs the extra `plot`."
_TITLE = "What the page is called (default: the network's name)."
_KEPT = 60


def report(
    source: Source,
    out: Output,
    other: Annotated[str | None, typer.Argument(metavar="NEW", help=_OTHER)] = None,
    image: Annotated[Path | None, option(_IMAGE, "--image", metavar="FILE")] = None,
    title: Annotated[str | None, option(_TITLE, "--title", metavar="TEXT")] = None,
) -> None:
    """Write a page in which every layer is looked at: point at a position, and see the pixels that it reads.

    One file that needs no network. Without -o it is called by the model. With two models it shows what changed from the
    first to the second.

    `fastrf report resnet50 -o report.html --image photo.jpg` or `fastrf report old.onnx new.onnx`
    """
    from fastrf.explorer.showing import ENDINGS
    from fastrf.explorer.showing import report as write

    models = [source.model] if other is None else [source.model, other]
    out = out if out.output is not None else replace(out, output=Path(f"{'-'.join(map(_stem, models))}.html"))
    out.require(ENDINGS, "for a page")
    out.require_apart(*models, image)
    analyses = []
    for model in models:
        try:
            analyses.append(replace(source, model=model).analyze())
        except FastRFError as error:
            raise error if model in str(error) else type(error)(f"{model}: {error}") from error
    against = analyses[0] if other is not None else None
    assert out.output is not None
    write(analyses[-1], out.output, against=against, image=image, title=title, progress=True)
    terminal.note(f"wrote {out.output}")


def _stem(model: str) -> str:
    """What a file is called by a model: letters, digits, dots and dashes alone."""
    name = Path(model).stem if Path(model).suffix else model
    return re.sub(r"[^\w.-]+", "-", name.rpartition(":")[2].rpartition("/")[2]).strip(".-")[:_KEPT] or "report"
