"""The README's generated tables: what stands between `<!-- NAME -->` and `<!-- /NAME -->`."""

from __future__ import annotations

from pathlib import Path

__all__ = ["ROOT", "read_between", "write_between"]

ROOT = Path(__file__).parent.parent


def read_between(name: str) -> str:
    """The text between the marks of this name."""
    _, _, rest = (ROOT / "README.md").read_text().partition(f"<!-- {name} -->\n")
    return rest.partition(f"<!-- /{name} -->")[0]


def write_between(name: str, text: str) -> None:
    """Put a text between the marks of this name; the rest of the README stays."""
    readme = ROOT / "README.md"
    before, begin, rest = readme.read_text().partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- /{name} -->")
    if not begin or not end:
        raise ValueError(f"README.md has no marks for {name!r}")
    readme.write_text(f"{before}{begin}{text}\n{end}{after}")
