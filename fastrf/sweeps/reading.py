"""Candidates as the command line and files name them: a space, a list of lines, or networks."""

from __future__ import annotations

import difflib
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fastrf import zoo
from fastrf.errors import FormatError, LimitError, UsageError
from fastrf.sweeps.sources import Broken, InSpace
from fastrf.system.files import check_nesting, opened

__all__ = ["SPACES", "candidates_of", "lines_of", "mapping_of", "space_named"]

#: Spaces by name, each as the class in `fastrf.spaces` and its arguments.
SPACES: dict[str, tuple[str, tuple[Any, ...]]] = {
    "nasbench101": ("NASBench101", ()),
    "nasbench201": ("NASBench201", ()),
    "darts": ("DARTS", ("cifar",)),
    "darts-cifar": ("DARTS", ("cifar",)),
    "darts-imagenet": ("DARTS", ("imagenet",)),
    "ofa": ("OFAMobileNetV3", ()),
    "ofa_mbv3": ("OFAMobileNetV3", ()),
    "ofa-without-se": ("OFAMobileNetV3", (False,)),
    "ofa_mbv3-without-se": ("OFAMobileNetV3", (False,)),
}

#: A line of a list of candidates may not be longer.
MAX_LINE = 1 << 24


def space_named(name: str, also: str = "") -> Any:
    """A space by its name. Raises UsageError for an unknown one; `also` says what else the name is not."""
    found = SPACES.get(str(name).lower())
    if found is None:
        close = difflib.get_close_matches(str(name).lower(), SPACES, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise UsageError(f"unknown space {str(name)[:60]!r}; {also}{hint}the spaces are {', '.join(SPACES)}")
    from fastrf import spaces

    kind, arguments = found
    return getattr(spaces, kind)(*arguments)


def candidates_of(words: list[str], sample: int | None, seed: int) -> Any:
    """Candidates for `sweep` from the words of a command: a space's name, one `.jsonl` file, or networks.

    `sample` draws so many from a space. Raises UsageError and FormatError.
    """
    if len(words) == 1 and words[0].lower() in SPACES:
        space = space_named(words[0])
        return space if sample is None else space.sample(sample, seed)
    if sample is not None:
        raise UsageError(f"--sample draws from a space; the spaces are {', '.join(SPACES)}")
    if len(words) == 1 and words[0].lower().endswith(".jsonl"):
        return list(lines_of(Path(words[0])))
    if len(words) == 1 and words[0].isidentifier() and words[0] not in zoo.names() and not Path(words[0]).exists():
        space_named(words[0], "and it is neither a file nor a built-in network; ")
    return words


def lines_of(path: Path) -> Iterator[Any]:
    """A candidate per line of JSON, empty lines left out: a mapping as `mapping_of` reads it, a list of layers, a text.

    A line that is none is a candidate that failed. Raises FormatError for a file that cannot be read.
    """
    try:
        with opened(path) as binary, io.TextIOWrapper(binary, encoding="utf-8") as file:
            for number, line in enumerate(iter(lambda: file.readline(MAX_LINE + 1), ""), start=1):
                if not line.strip():
                    continue
                try:
                    if len(line) > MAX_LINE:
                        limit = f"fastrf.sweeps.reading.MAX_LINE = {MAX_LINE}"
                        raise LimitError(f"{path}: line {number} has more characters than {limit}; raise it")
                    found = json.loads(line)
                    if not isinstance(found, dict | list | str):
                        raise FormatError(f"a {type(found).__name__} is no candidate")
                    check_nesting(found, "it")
                    found = _without_code(found)
                except (ValueError, RecursionError) as error:
                    reason = " ".join(str(error).split())[:120] or "nested too deep"
                    yield f"line {number}", Broken(f"line {number} is no candidate in JSON: {reason}")
                else:
                    yield found
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise FormatError(f"{path}: {reason}; give one candidate in JSON per line") from error


def _without_code(found: Any) -> Any:
    """A line's candidate, where text is a built-in network or a path: only people and programs may name code."""
    if isinstance(found, dict) and isinstance(found.get("source"), str):
        return {**found, "source": _without_code(found["source"])}
    if not isinstance(found, str) or found in zoo.names():
        return found
    if ":" in found and not Path(found).exists():
        raise FormatError(f"{found[:60]!r} names code, which a file may not; give it on the command line or in Python")
    return Path(found)


def mapping_of(given: Mapping[str, Any], spaces: dict[str, Any]) -> tuple[str | None, Any, Any]:
    """A mapping as `(id, source, input shape)`, what it does not say being None.

    `{"space", "arch"}` is a candidate of a space, `{"source"}` anything that `fastrf.load` takes, both with an `"id"`
    and an `"input_shape"` where wanted; a network in the spec format may have an `"id"`, too. `spaces` keeps those met.
    """
    name = given.get("id")
    name = None if name is None else str(name)
    if "arch" in given or "space" in given:
        unknown = [key for key in given if key not in ("id", "space", "arch", "input_shape")]
        if unknown or "arch" not in given or not isinstance(given.get("space"), str):
            return name, Broken("a candidate of a space is {space, arch}, with id and input_shape if wanted"), None
        try:
            space = spaces.get(given["space"]) or spaces.setdefault(given["space"], space_named(given["space"]))
        except UsageError as error:
            return name, Broken(str(error)), None
        return name, InSpace(space, given["arch"]), given.get("input_shape")
    if "source" in given:
        return name, given["source"], given.get("input_shape")
    if "id" in given and "layers" in given:
        return name, {key: value for key, value in given.items() if key != "id"}, None
    return None, given, None
