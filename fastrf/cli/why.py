"""The command `fastrf why`, which `fastrf.cli.commands` registers."""

from __future__ import annotations

from typing import Annotated

from fastrf.cli.options import NodeOption, Printed, Source, option, parse_index
from fastrf.system.terminal import status

__all__ = ["why"]

_AT = "The position to explain (default: one that sees the pixel)."
_PIXEL = "A pixel of the input: how it gets to the position, or where it is lost."


def why(
    source: Source,
    printed: Printed,
    node: NodeOption = None,
    at: Annotated[str | None, option(_AT, "--at", metavar="Y,X")] = None,
    pixel: Annotated[str | None, option(_PIXEL, "--pixel", metavar="Y,X")] = None,
) -> None:
    """Say which layers make a field as large as it is, or how a pixel gets to a position.

    Without a pixel: the layers that read whole axes (norms, attention, gates, pools), those that hide behind others
    among them; or else the widest steps. Blind spots and holes are told with the layer at which they arise.

    With a pixel: the path of layers by which it gets to the position; or the layer at which it is lost.

    `fastrf why resnet50 --node layer4` or `fastrf why resnet50 --node layer4 --at 0,0 --pixel 200,10`
    """
    form = printed.form
    place = None if at is None else parse_index(at, "--at")
    point = None if pixel is None else parse_index(pixel, "--pixel")
    analysis = source.analyze()
    field = analysis.output if node is None else analysis[node]
    with status("looking for reasons ..."):
        found = field.why(place, point)
    if form == "table" and not found.reasons:
        printed.emit(found.to_text(printed.width))
        return
    if form == "markdown":
        printed.emit(found.to_markdown())
        return
    printed.table(found.table, form)
