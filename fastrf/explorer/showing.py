"""report() and explore(): an analysis, or two beside each other, as one page that needs nothing else."""

from __future__ import annotations

import html
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastrf.analysis import Analysis
from fastrf.errors import FormatError, UsageError, a_kind, shown
from fastrf.explorer.encoding import encoded
from fastrf.explorer.page import assembled
from fastrf.system.files import whole_file
from fastrf.system.terminal import Progress, progress_bar

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ENDINGS", "Page", "explore", "report", "require_page"]

#: What a page's name may end in.
ENDINGS = (".html", ".htm")
_LONGEST_TITLE = 200


class Page:
    """A page as text; in a notebook it is shown in a frame of its own, which sees nothing of the notebook."""

    def __init__(self, text: str, title: str, height: int = 720) -> None:
        self.text, self.title, self.height = text, title, height

    def __repr__(self) -> str:
        return f"Page({self.title!r}, {len(self.text):,} bytes); a notebook shows it"

    def _repr_html_(self) -> str:
        """The page within a frame: scripts run there, in an origin of their own."""
        looks = f"width: 100%; height: {self.height}px; border: 0"
        allowed = 'sandbox="allow-scripts allow-downloads" allow="clipboard-write"'
        title, page = html.escape(self.title), html.escape(self.text)
        return f'<iframe title="{title}" {allowed} style="{looks}" srcdoc="{page}"></iframe>'

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page, whole or not at all. Raises FormatError where it cannot be written, or is to be no page."""
        require_page(path)
        with whole_file(path) as file:
            file.write(self.text.encode())


def report(
    analysis: Analysis,
    path: str | os.PathLike[str],
    *,
    against: Analysis | None = None,
    image: Any = None,
    title: str | None = None,
    progress: bool | Progress = False,
) -> None:
    """Write one self-contained page in which every layer's exact field is looked at; it fetches nothing.

    `against` is the analysis of an older network to compare with: layers are matched by name, differences come first.
    `image` lies under the pixels, stretched to the input: a path, an image of Pillow's or an array [H, W, channels]; it
    is turned as its EXIF data say and written anew without any. `title` is by default the network's name. `progress` is
    called with the layers done and their number, or True for a bar. A file of that name is replaced, whole.

    Raises UsageError for what is no analysis, FormatError for another ending than .html or a file that is no image or
    cannot be written, LimitError for an input that no browser can number, and MissingExtraError for an image without
    Pillow.
    """
    require_page(path)
    _page(analysis, against, image, title, progress).save(path)


def explore(
    analysis: Analysis,
    *,
    against: Analysis | None = None,
    image: Any = None,
    title: str | None = None,
    height: int = 720,
) -> Page:
    """The page of `fastrf.report` for a notebook, which shows it in a frame `height` pixels high.

    `str(page.text)` is the page, `page.save(path)` writes it. The other arguments, and what it raises, are as in
    `fastrf.report`.
    """
    found = _page(analysis, against, image, title, False)
    if type(height) is not int or not 100 <= height <= 10_000:
        raise UsageError(f"height must be a number of pixels from 100 to 10,000, not {height!r}")
    found.height = height
    return found


def require_page(path: str | os.PathLike[str]) -> None:
    """Raise FormatError for a name that no page has, before there is work to lose."""
    ending = Path(path).suffix
    if ending.lower() not in ENDINGS:
        raise FormatError(f"{path}: ending {ending!r} is unknown for a page; use .html")


def _page(
    analysis: Analysis, against: Analysis | None, image: Any, title: str | None, progress: bool | Progress
) -> Page:
    both = _analyses(analysis, against)
    told = " -> ".join(dict.fromkeys(one.network.name for one in both))
    name = shown(told if title is None else str(title))[:_LONGEST_TITLE]
    found = None
    if image is not None:
        from fastrf.explorer.images import picture

        found = picture(image, _pixels(analysis))
    changes: Sequence[Any] = ()
    if against is not None:
        from fastrf.explorer.comparing import changes as changed

        changes = changed(against, analysis)
    with progress_bar("layers", progress) as told_of:
        document = encoded(both, name, found, changes, told_of)
    return Page(assembled(document, name), name)


def _pixels(analysis: Analysis) -> tuple[int, ...]:
    """The shape of the pixels that all is measured against."""
    channels = analysis.network.channel_axis_of(analysis.wrt)
    return tuple(n for axis, n in enumerate(analysis.network.shape_of(analysis.wrt)) if axis != channels)


def _analyses(analysis: Any, against: Any) -> list[Analysis]:
    """The old one, if any, before the new one. Raises UsageError."""
    both = [one for one in (against, analysis) if one is not None or one is analysis]
    for one in both:
        if not isinstance(one, Analysis):
            raise UsageError(f"a page is made of what fastrf.analyze gives, not of {a_kind(one)}")
    return both
