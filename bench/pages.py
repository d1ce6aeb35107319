"""What is written into pages of documentation: the text between `<!-- NAME -->` and `<!-- /NAME -->`."""

from __future__ import annotations

from pathlib import Path

__all__ = ["ROOT", "put_between", "read_between", "write_between"]

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def read_between(page: str, name: str) -> str:
    """The text between the marks of this name in a page of `docs`."""
    _, _, rest = (DOCS / page).read_text().partition(f"<!-- {name} -->\n")
    return rest.partition(f"<!-- /{name} -->")[0]


def put_between(text: str, name: str, new: str) -> str:
    """The text with something new between the marks of this name. Raises ValueError where there are none."""
    before, begin, rest = text.partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- /{name} -->")
    if not begin or not end:
        raise ValueError(f"there are no marks for {name!r}")
    return f"{before}{begin}{new}\n{end}{after}"


def write_between(page: str, name: str, text: str) -> None:
    """Put a text between the marks of this name; the rest of the page stays."""
    path = DOCS / page
    path.write_text(put_between(path.read_text(), name, text))
