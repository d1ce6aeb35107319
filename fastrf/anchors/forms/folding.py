"""What is pasted, on a narrow terminal: lines end between elements, so that no number is broken and it still runs."""

from __future__ import annotations

import re
import textwrap

__all__ = ["folded"]

#: What stands for a space that no line ends at; how far lines are indented, at most.
_BOUND, _INDENT = "\x00", 16


def folded(text: str, width: int | None) -> str:
    """Python or YAML with lines of at most `width` characters: broken within brackets, remarks above their line."""
    lines: list[str] = []
    for line in text.splitlines():
        if width is None or len(line) <= width or line.startswith(("from ", "import ")):
            lines.append(line)
            continue
        indent = line[: len(line) - len(line.lstrip())]
        code, _, remark = line.partition("  # ")
        lines += [f"{indent}# {remark}"] if remark else []
        # what stands in one pair of brackets stays in one line, if it can
        code = re.sub(r"\([^()\[\]]*\)", lambda found: _bound(found[0], width), code)
        further = f"{indent}# " if code.lstrip().startswith("#") else f"{indent}    "
        lines += textwrap.wrap(code, width, subsequent_indent=further, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines).replace(_BOUND, " ") + "\n" if text else text


def _bound(text: str, width: int) -> str:
    return text.replace(" ", _BOUND) if len(text) < width - _INDENT else text
