"""Reader: what a reader of files is given, and how it is spoilt."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .spoiling import Spoil, applied, in_archive, of_array, of_bytes, of_json, of_text

__all__ = ["CONV", "Reader", "seen", "the"]

CONV = {"op": "conv", "out_channels": 4, "kernel_size": 3, "padding": 1}


@dataclass(frozen=True)
class Reader:
    """`seeds()` are files by name, one of which is spoilt by the rule for its ending; `read` is called in the folder.

    `warm` does once what needs files of its own.
    """

    seeds: Callable[[], list[dict[str, bytes]]]
    read: Callable[[], Any]
    weight: float = 1.0
    warm: Callable[[], Any] = lambda: None

    def make(self, rng: random.Random, folder: Path) -> None:
        """Write a spoilt case."""
        files = dict(rng.choice(self.seeds()))
        spoilt = rng.choice([name for name in files if "/" not in name or rng.random() < 0.9] or list(files))
        files[spoilt] = applied(_rule(spoilt), rng, files[spoilt]) if rng.random() < 0.98 else b""
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)


def _rule(name: str) -> Spoil:
    ending = Path(name).suffix
    if ending in (".json", ".jsonl"):
        return of_json if ending == ".json" else _of_lines
    if ending in (".npz", ".pt2"):
        return in_archive
    if ending == ".npy":
        return of_array
    return of_bytes if ending in (".jpg", ".png", ".parquet", ".arrow", "") else of_text


def _of_lines(rng: random.Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    where = rng.randrange(len(lines))
    lines[where] = of_json(rng, lines[where])
    return b"".join(lines)


def the(*names: str) -> str:
    """The first of the files that is there."""
    return next(name for name in names if os.path.lexists(name))


def seen(*texts: str) -> None:
    """Nothing that a terminal obeys is in what is shown."""
    for text in texts:
        assert all(line.isprintable() for line in text.split("\n")), "an unprintable character is shown"
