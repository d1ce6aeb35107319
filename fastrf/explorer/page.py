"""One self-contained file: the page's style and modules, the document, and a policy that lets nothing else in."""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import re
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

__all__ = ["assembled", "joined", "modules"]

PAGE = Path(__file__).parent / "page"
#: What a module takes from another; names are never changed on the way.
_IMPORT = re.compile(r'^import\s*\{([^}]*)\}\s*from\s*"(\.{1,2}/[\w./-]+\.js)";[ \t]*\n?', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const|let)\b)", re.MULTILINE)
_SLOT = re.compile(r"\{\{(\w+)\}\}")


class _Parts(NamedTuple):
    """What is the same in every page."""

    template: str
    style: str
    script: str
    policy: str


def assembled(document: str, title: str) -> str:
    """The page of a document: HTML that needs no other file and fetches none."""
    parts = _parts()
    slots = {
        "policy": html.escape(parts.policy),
        "title": html.escape(title),
        "style": parts.style,
        "document": document,
        "script": parts.script,
    }
    return _SLOT.sub(lambda slot: slots[slot[1]], parts.template)  # in one step: nothing put in is looked at again


@functools.cache
def _parts() -> _Parts:
    style = "\n".join(path.read_text("utf-8") for path in sorted(PAGE.glob("*.css"), key=_style_first))
    script = joined(modules())
    for text, what in ((style, "</style"), (script, "</script"), (script, "<!--")):
        if what in text.lower():
            raise AssertionError(f"the page's own files hold {what!r}")
    rules = [
        "default-src 'none'",
        f"script-src {_fingerprint(script)}",
        f"style-src {_fingerprint(style)}",
        "img-src data: blob:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return _Parts((PAGE / "index.html").read_text("utf-8"), style, script, "; ".join(rules))


def _style_first(path: Path) -> tuple[bool, str]:
    return path.name != "style.css", path.name


def _fingerprint(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def modules() -> dict[str, str]:
    """The page's modules by their path in `page`."""
    return {path.relative_to(PAGE).as_posix(): path.read_text("utf-8") for path in sorted(PAGE.rglob("*.js"))}


def joined(texts: Mapping[str, str]) -> str:
    """Modules as one, each behind those that it takes from; all names are in one scope."""
    reads = {name: [_target(name, found[2]) for found in _IMPORT.finditer(text)] for name, text in texts.items()}
    for name, targets in reads.items():
        unknown = [target for target in targets if target not in texts]
        if unknown:
            raise AssertionError(f"{name} imports {unknown[0]}, which is not there")
    try:
        order = [*TopologicalSorter(reads).static_order()]
    except CycleError as error:
        raise AssertionError(f"modules import each other: {', '.join(error.args[1])}") from error
    last = [name for name in order if name == "app.js"]
    order = [name for name in order if name != "app.js"] + last
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", texts[name])).strip() for name in order) + "\n"


def _target(name: str, path: str) -> str:
    """The module that another one imports by a relative path."""
    parts = name.split("/")[:-1]
    for step in path.split("/"):
        if step == "..":
            parts.pop()
        elif step != ".":
            parts.append(step)
    return "/".join(parts)
