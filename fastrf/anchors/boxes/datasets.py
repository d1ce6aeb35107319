"""A YOLO data set by its `data.yaml`: the pictures of its `train:` and the labels that belong to them.

`readers` calls it. Nothing in the file is run: a `download:` is a text like others.
Source of the rules: ultralytics' `check_det_dataset` and `img2label_paths`, as its documentation tells them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from fastrf.errors import FastRFError, FormatError
from fastrf.system.files import parse_yaml, read_text

__all__ = ["ENDINGS", "label_of", "labelled"]

#: Endings of pictures that are looked for.
ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
#: A file of strangers may name any folder, such as the whole disk.
MAX_FILES = 1 << 21

Labelled = list[tuple[Path, Path | None]]


def labelled(path: str) -> Labelled:
    """Labels and their pictures, None where only labels are there. Raises FormatError for a data set without any."""
    found = parse_yaml(read_text(path), path, "anchors")
    entries = found.get("train") if isinstance(found, dict) else None
    entries = [entries] if isinstance(entries, str) else entries
    if not isinstance(entries, list) or not all(isinstance(entry, str) and entry for entry in entries) or not entries:
        raise FormatError(f"{path}: has no 'train:' with a folder, a .txt of pictures or a list of them")
    try:
        roots = _roots(path, found.get("path"))
        pairs = [pair for entry in entries for pair in _of_entry(path, entry, roots)]
        kept = [(label, picture) for label, picture in pairs if label.is_file()]
    except FastRFError:
        raise
    except (OSError, ValueError) as error:  # of texts that no file can be called
        reason = getattr(error, "strerror", None) or error
        raise FormatError(f"{path}: names a path that is none ({reason}); check 'path:', 'train:' and lists") from error
    if not kept:
        raise FormatError(f"{path}: none of {len(pairs)} pictures has a label; the first would be {pairs[0][0]}")
    return kept


def _roots(path: str, given: Any) -> list[Path]:
    """Where relative paths may begin: at `path:`, beside the file or from here, or else in the file's folder."""
    beside = Path(path).parent
    if not given or given == "null":
        return [beside]
    if not isinstance(given, str):
        raise FormatError(f"{path}: 'path:' must be a folder, not {type(given).__name__}")
    # a file within its own data set is often written to be read from the folder above
    roots = [root for root in (beside / given, Path(given), beside.parent / given) if root.is_dir()]
    if not roots:
        raise FormatError(f"{path}: 'path: {given}' is no folder, beside the file or from here; write a whole path")
    return roots


def _of_entry(path: str, entry: str, roots: list[Path]) -> Iterator[tuple[Path, Path | None]]:
    """The pairs of a folder or of a `.txt` of pictures."""
    # one `..` too many is what a well-known exporter writes
    tries = [root / rest for root in roots for rest in dict.fromkeys([entry, entry.removeprefix("../")])]
    where = next((one for one in tries if one.exists()), None)
    if where is None:
        where = next((one for one in tries if label_of(one / "any").parent.is_dir()), None)
    if where is None:
        raise FormatError(f"{path}: 'train: {entry}' is not there; looked for {', '.join(map(str, tries[:3]))}")
    if where.is_file() and where.suffix.lower() != ".txt":
        raise FormatError(f"{path}: {where} is neither a folder of pictures nor a .txt that lists them")
    if where.is_file():
        yield from _listed(where, roots)
        return
    pictures = _below(where, ENDINGS)
    yield from ((label_of(picture), picture) for picture in pictures)
    if not pictures:
        folder = label_of(where / "any").parent
        labels = _below(folder, (".txt",)) if folder.is_dir() else []
        if not labels:
            raise FormatError(f"{path}: {where} holds no pictures, and {folder} no labels")
        yield from ((label, None) for label in labels)


def _below(folder: Path, endings: Collection[str]) -> list[Path]:
    """The files of these endings in a folder and all below it, in order. Raises FormatError for too many files."""
    found = []
    for seen, file in enumerate(folder.rglob("*")):
        if seen == MAX_FILES:
            raise FormatError(f"{folder}: holds more than {MAX_FILES:,} files; name the folder of the pictures")
        if file.suffix.lower() in endings:
            found.append(file)
    return sorted(found)


def _listed(where: Path, roots: list[Path]) -> Iterator[tuple[Path, Path | None]]:
    """The pictures that a text names, a line each: from its own folder, from the data set's, or from here."""
    for number, line in enumerate(read_text(where).splitlines(), 1):
        if not line.strip():
            continue
        tries = [root / line.strip() for root in (where.parent, *roots, Path())]
        found = next((one for one in tries if one.is_file() or label_of(one).is_file()), None)
        if found is None:
            raise FormatError(f"{where}:{number}: there is neither a picture nor a label of {line.strip()[:80]!r}")
        yield label_of(found), found if found.is_file() else None


def label_of(picture: Path) -> Path:
    """The label of a picture: in `labels` where it lies in `images`, else beside it."""
    parts = picture.parent.parts
    if "images" in parts:
        k = len(parts) - 1 - parts[::-1].index("images")
        return Path(*parts[:k], "labels", *parts[k + 1 :], f"{picture.stem}.txt")
    return picture.with_suffix(".txt")
