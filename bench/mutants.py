"""One line changed at a time, and whether any test notices: `python -m bench.mutants [--only WORD]`.

The changes are of the kinds that tests once let pass: how many terms a union keeps, what periods of long axes hold,
the clauses that guard saved fields, canonical form, the channel axis after a reshape, what is listed as approximate,
shares of positions, and what the engine remembers. Prints how each change ends, and how many survive.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["MUTANTS", "NOTICED", "Mutant", "main", "tried"]

ROOT = Path(__file__).parent.parent
#: What a copy of the project needs for its tests.
COPIED = ("fastrf", "tests", "bench", "docs", ".ci", "pyproject.toml", "setup.cfg", "README.md", "CHANGELOG.md")
#: Seconds after which tests are taken to have failed.
LONGEST = 300
#: How a change ends that tests notice.
NOTICED = ("noticed", "endless")


class Mutant(NamedTuple):
    """A file of `fastrf/`, a line of it and what it becomes, and the tests that should notice."""

    file: str
    line: str
    change: str
    tests: str


MUTANTS = tuple(
    Mutant(*row)
    for row in (
        ("engine/terms.py", "kept = _merge(kept, sizes, input_shape)", "kept = list(kept)", "dependency zoo"),
        ("engine/terms.py", "kept = _absorb(kept, sizes, input_shape)", "kept = list(kept)", "dependency zoo"),
        ("engine/terms.py", "return parts if points == relation.n_points else []", "return []", "dependency"),
        ("engine/terms.py", "if len(used) != len(set(used)):", "if used:", "dependency"),
        ("engine/memo.py", "        _held += size", "        _held += 0", "relation"),
        ("engine/memo.py", "            _held -= holder[1]", "            _held -= 0", "relation"),
        ("engine/memo.py", "        holder[0] += 1", "        holder[0] += 0", "relation"),
        ("engine/stretched.py", "self.core.counts, 0) == 0] = 0", "self.core.counts, 0) < 0] = 0", "stretched"),
        ("engine/stretched.py", "take([index % self.n_rows])", "take([index])", "stretched"),
        (
            "engine/stretched.py",
            "return self._spread(self.core.counts, 0)",
            "return self._spread(self.core.counts, 1)",
            "stretched",
        ),
        ("engine/stretched.py", "return self.step == 0 and self.core.is_full", "return self.core.is_full", "stretched"),
        ("engine/kernels.py", "out_stop[n - 1] = max(out_stop[n - 1], stop)", "out_stop[n - 1] = stop", "relation"),
        (
            "engine/kernels.py",
            "if n > row_begin and start <= out_stop[n - 1]:",
            "if n > row_begin and start < out_stop[n - 1]:",
            "relation",
        ),
        ("engine/recipe.py", "if low < outer and high > inner]", "if low < outer and high >= inner]", "ops_shape ops"),
        (
            "engine/nominal.py",
            "if len(set(factors)) < len(factors):",
            "if len(set(factors)) < 0:",
            "nominal nominal_laws",
        ),
        ("engine/nominal.py", "* math.prod(piece.lengths) for piece", "for piece", "nominal nominal_laws"),
        (
            "analysis.py",
            "in self._dependencies.items() if dependency.terms}",
            "in self._dependencies.items()}",
            "network",
        ),
        ("outputs/storage.py", "start[1:] > stop[:-1]", "start[1:] >= stop[:-1]", "storage files"),
        ("outputs/storage.py", "(stop > start)", "(stop >= start)", "storage files"),
        ("outputs/storage.py", "(stop <= n_cols)", "(stop <= n_cols + 1)", "storage files"),
        ("outputs/storage.py", "indptr[0] != 0 or ", "", "storage files"),
        ("outputs/storage.py", "(widths < 0).any() or ", "", "storage files"),
        ("outputs/storage.py", "len(set(rows)) != len(rows) or ", "", "storage files"),
        ("outputs/storage.py", "group.rows == tuple(sorted(group.rows))", "True", "storage files"),
        ("outputs/storage.py", "len(periods) != n_extents or ", "", "storage files"),
        ("outputs/storage.py", "any(a + n > m for", "any(a + n > m + 1 for", "storage files"),
    )
)


def tried(mutants: tuple[Mutant, ...]) -> Iterator[tuple[Mutant, str]]:
    """Each change, made in a copy of the project, and how its tests ended: noticed, endless, or "survives"."""
    with tempfile.TemporaryDirectory() as folder:
        for name in COPIED:
            source, target = ROOT / name, Path(folder, name)
            shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
        environment = {**os.environ, "PYTHONPATH": folder, "NUMBA_CACHE_DIR": str(Path(folder, "cache"))}
        for mutant in mutants:
            path = Path(folder, "fastrf", mutant.file)
            text = path.read_text()
            path.write_text(text.replace(mutant.line, mutant.change))
            tests = [f"tests/test_{name}.py" for name in mutant.tests.split()]
            command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "--slow", *tests]
            yield mutant, _ended(command, folder, environment)
            path.write_text(text)


def _ended(command: list[str], folder: str, environment: dict[str, str]) -> str:
    try:
        ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False, timeout=LONGEST)
    except subprocess.TimeoutExpired:
        return "endless"
    return "noticed" if ended.returncode == 1 else "survives" if ended.returncode == 0 else "cannot be tried"


def main() -> int:
    """Try every change; exit code 1 if more than two of them pass unnoticed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", default="", help="those in files whose name holds this")
    options = parser.parse_args()
    chosen = tuple(mutant for mutant in MUTANTS if options.only in mutant.file)
    found = 0
    for mutant, ended in tried(chosen):
        found += ended not in NOTICED
        print(f"{ended}: {mutant.file}: {mutant.line.strip()} -> {mutant.change.strip() or 'nothing'}", flush=True)
    print(f"{found} of {len(chosen)} changes survive")
    return int(found > 2)


if __name__ == "__main__":
    sys.exit(main())
