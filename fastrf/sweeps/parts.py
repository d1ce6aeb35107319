"""Parts: a table that is written while it grows, so that whatever ends a run, nothing is lost or there twice.

Beside `name.parquet` a folder `name.parquet.parts` holds a manifest and Parquet files named by their range of rows,
each written under another name first. At the end they become the one file that was asked for, and the folder goes.
Only a folder with such a manifest is touched, in it only files of these names, and no link is followed. `gathered`
fills it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastrf.budget import limits
from fastrf.errors import FormatError
from fastrf.sweeps.table import KEY, arrow, form_of, manifest_of, write_table
from fastrf.system.files import opened, whole_file

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Parts"]

_MANIFEST = "manifest.json"
#: The first word of a manifest, whatever the version.
_FORMAT = "fastrf sweep "
#: Names of parts, and of files that were being written when a run was killed.
_PART = re.compile(r"[0-9]{12,18}-[0-9]{12,18}\.parquet")
_UNFINISHED = re.compile(r"\.fastrf-[0-9a-f]{16}")


class Parts:
    """What is there of one table so far. Raises FormatError where it cannot be begun, or is that of another sweep."""

    def __init__(
        self,
        output: str | os.PathLike[str],
        manifest: dict[str, Any],
        schema: pa.Schema,
        resume: bool,
        overwrite: bool = False,
    ) -> None:
        try:
            self.output = Path(output)
        except TypeError as error:
            raise FormatError(f"output {output!r} is no path; give a name such as sweep.parquet") from error
        form_of(self.output)
        self.folder = self.output.with_name(self.output.name + ".parts")
        self.manifest, self.schema = manifest, schema
        #: Whether the table is there already.
        self.complete = False
        try:
            self._begin(resume, overwrite)
        except OSError as error:
            raise FormatError(
                f"{output}: {error.strerror or error}; choose a name in a folder that can be written"
            ) from error

    def _begin(self, resume: bool, overwrite: bool) -> None:
        if self.output.exists() and not self.output.is_file():
            raise FormatError(f"{self.output}: exists and is no regular file; choose another name")
        there = self.output.exists() and not overwrite
        begun = os.path.lexists(self.folder)
        manifest = _own_manifest(self.folder) if begun else None
        if (there or begun) and not resume:
            what = "exists" if there else "was begun by a sweep that did not end"
            raise FormatError(f"{self.output}: {what}; choose another name, go on with resume, or overwrite it")
        if begun:
            self._check(manifest)
        if there:
            if not begun:
                self._check(manifest_of(self.output))
            self.complete = True
            self._remove()
            return
        if not begun:
            self._make()

    def _make(self) -> None:
        """The folder with its manifest, both at once."""
        fresh = self.folder.with_name(f".fastrf-{secrets.token_hex(8)}")
        fresh.mkdir()
        try:
            with whole_file(fresh / _MANIFEST, sync=True) as file:
                file.write(json.dumps(self.manifest).encode())
            fresh.rename(self.folder)
        except BaseException:
            (fresh / _MANIFEST).unlink(missing_ok=True)
            fresh.rmdir()
            raise

    def _remove(self) -> None:
        """Delete what was written here, file by file, and the folder where nothing else is in it."""
        with contextlib.suppress(OSError):
            for path in [*self._files(_PART), *self._files(_UNFINISHED), self.folder / _MANIFEST]:
                path.unlink(missing_ok=True)
            self.folder.rmdir()

    def _files(self, names: re.Pattern[str]) -> list[Path]:
        """Regular files of the folder with such names, in order."""
        with os.scandir(self.folder) as entries:
            found = [entry for entry in entries if names.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)]
        return [self.folder / name for name in sorted(entry.name for entry in found)]

    def _check(self, found: dict[str, Any] | None) -> None:
        if found is None:
            raise FormatError(f"{self.output}: does not say which sweep made it; choose another name")
        for key in ("space", "input_shape", "metrics", "candidates"):
            if found.get(key) != self.manifest[key]:
                word = "number of candidates" if key == "candidates" else key.replace("_", " ")
                was, now = (_short(value) for value in (found.get(key), self.manifest[key]))
                raise FormatError(
                    f"{self.output}: made by another sweep ({word}: {was}; now {now}); choose another name"
                )
        if found != self.manifest:
            raise FormatError(f"{self.output}: made by a sweep of other candidates; choose another name")

    # While running -----------------------------------------------------------------------------------------------

    def spans(self) -> list[tuple[int, int]]:
        """Ranges of rows that are there, in order; files that are damaged are dropped."""
        found, reached = [], 0
        for path in self._files(_UNFINISHED):
            path.unlink()
        for path in self._files(_PART):
            start, stop = map(int, path.stem.split("-"))
            if start < reached or not self._is_whole(path, stop - start):
                path.unlink()
                continue
            found.append((start, stop))
            reached = stop
        return found

    def _is_whole(self, path: Path, rows: int) -> bool:
        parquet = arrow("pyarrow.parquet")
        try:
            with parquet.ParquetFile(path) as file:
                if not (file.metadata.num_rows == rows > 0 and file.schema_arrow.equals(self.schema)):
                    return False
                file.read().validate(full=True)
                return True
        except Exception:  # a damaged file can fail in any of its readers
            return False

    def write(self, start: int, batches: list[pa.RecordBatch]) -> None:
        """One part, from row `start` on; it is there whole or not at all. Raises FormatError."""
        pa, parquet = arrow(), arrow("pyarrow.parquet")
        table = pa.Table.from_batches(batches, self.schema)
        path = self.folder / f"{start:012d}-{start + table.num_rows:012d}.parquet"
        try:
            with whole_file(path, through_links=False, sync=True) as file:
                parquet.write_table(table, file)
        except FormatError as error:
            reason = getattr(error.__cause__, "strerror", None) or error
            raise FormatError(f"{self.output}: {reason}; what is there is whole, go on with resume") from error

    def finish(self, fresh: list[pa.RecordBatch] | None = None) -> None:
        """The whole table in its one file, from the parts, or from `fresh` where there are none."""
        schema = self.schema.with_metadata({KEY: json.dumps(self.manifest).encode()})
        rows = (batch.replace_schema_metadata(schema.metadata) for batch in (self._rows() if fresh is None else fresh))
        with whole_file(self.output, sync=True) as file:
            write_table(rows, schema, file, form_of(self.output))
        self._remove()

    def _rows(self) -> Iterator[pa.RecordBatch]:
        parquet = arrow("pyarrow.parquet")
        for path in self._files(_PART):
            with parquet.ParquetFile(path) as file:
                yield from file.iter_batches()

    def discard_if_empty(self) -> None:
        """Leave nothing where no row was written."""
        if not self._files(_PART):
            self._remove()


def _own_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a folder of parts, None where it is damaged. Raises FormatError for a folder of someone else."""
    manifest = folder / _MANIFEST
    own = not folder.is_symlink() and folder.is_dir() and not manifest.is_symlink() and manifest.is_file()
    found: object = None
    if own:
        with opened(manifest) as file:
            text = file.read(limits.file)
        with contextlib.suppress(ValueError, RecursionError):
            found = json.loads(text)
        own = not isinstance(found, dict) or str(found.get("format")).startswith(_FORMAT)
    if not own:
        raise FormatError(f"{folder}: not made by a sweep, and left alone; choose another output, or move it elsewhere")
    return found if isinstance(found, dict) else None


def _short(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) < 120 else f"{text[:117]}..."
