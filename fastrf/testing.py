"""Receptive fields in tests: an assertion, and where pytest is there, a fixture of the same name.

pytest finds this module by itself and reads it at every start: all that it needs is imported when it is asked for.
"""

from __future__ import annotations

import contextlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Any

    from fastrf.analysis import Analysis
    from fastrf.checks.results import CheckResult

with contextlib.suppress(ImportError):  # the assertion works by itself
    import pytest

__all__ = ["assert_receptive_field"]

#: The folder of lock files beside a test, and how long their names become.
FOLDER, MAX_NAME = "fastrf_locks", 120
#: As many failures are shown.
SHOWN = 30
_WRITTEN = "fastrf lock file"


def assert_receptive_field(
    model: Any,
    input_shape: Any = None,
    *,
    rules: Sequence[str] | str = (),
    lock: str | os.PathLike[str] | None = None,
    update: bool = False,
    **options: Any,
) -> Analysis:
    """Raise AssertionError, with a table, unless rules hold and every module's field is what a lock file says.

    `model`, `input_shape` and `options` are those of `fastrf.analyze`, `rules` those of `fastrf.check`: texts such as
    "layer4.size >= 224", or the path of a rules.toml. `lock` is the path of a lock file, which `update` writes anew.
    The analysis is given back, for what else a test asks of it.

    The fixture of this name finds its lock file by itself: without rules, or with `lock=True`, it is
    `fastrf_locks/FILE.TEST.json` beside the test, with `lock="name"` `fastrf_locks/name.json`; `lock="some/path.json"`
    is seen from the test's folder. `pytest --fastrf-update` writes it.

    Raises UsageError without rules and lock file, or where `update` would lose another file, and what `fastrf.analyze`
    and `fastrf.check` raise.
    """
    __tracebackhide__ = True
    from fastrf.analysis import Analysis, analyze
    from fastrf.errors import UsageError

    if lock is None and not rules:
        raise UsageError("there is nothing to assert; give rules such as 'output.size >= 224', or a lock file")
    if isinstance(model, Analysis) and (input_shape is not None or options):
        raise UsageError("input_shape and options are of a model to analyse, and this is an analysis")
    if lock is not None and update:
        from fastrf.checks.asking import require_lock

        require_lock(lock)  # before there is work to lose
    analysis = model if isinstance(model, Analysis) else analyze(model, input_shape, **options)
    if lock is not None and update:
        _write(analysis, lock, rules)
    _require(analysis, rules, lock)
    return analysis


def _write(analysis: Analysis, path: str | os.PathLike[str], rules: Sequence[str] | str) -> None:
    """Write the lock file, once the rules can be read."""
    from pathlib import Path

    from fastrf.checks.asking import write_lock
    from fastrf.checks.checking import check

    if rules:
        check(analysis, rules)
    write_lock(analysis, Path(path))


def _require(analysis: Analysis, rules: Sequence[str] | str, lock: str | os.PathLike[str] | None) -> None:
    __tracebackhide__ = True
    from pathlib import Path

    from fastrf.checks.checking import check

    if lock is not None and not Path(lock).exists():
        raise AssertionError(f"there is no lock file {lock}; pytest --fastrf-update writes it, to be committed")
    result = check(analysis, rules, lock)
    if not result:
        raise AssertionError(_told(result))


def _told(result: CheckResult) -> str:
    """What failed, as a table, and what to do where that is meant."""
    from dataclasses import replace

    failed = result.failures
    notes = [*result.notes, *([f"{len(failed) - SHOWN} more"] if len(failed) > SHOWN else [])]
    if any(outcome.kind != "rule" for outcome in failed):
        notes.append("if this is meant, pytest --fastrf-update writes the lock file anew")
    return f"receptive fields\n{replace(result, outcomes=failed[:SHOWN], notes=tuple(notes))}"


# pytest ---------------------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--fastrf-update`."""
    told = "write the lock files of receptive fields anew, beside the tests"
    parser.getgroup("fastrf").addoption("--fastrf-update", action="store_true", help=told)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say which lock files were written."""
    reports = (report for reports in terminalreporter.stats.values() for report in reports)
    found = (name for report in reports for name in getattr(report, "user_properties", ()) if name[0] == _WRITTEN)
    for _, path in dict.fromkeys(map(tuple, found)):
        terminalreporter.write_line(f"wrote {path}")


def _asserting(request: pytest.FixtureRequest) -> Callable[..., Analysis]:
    """`assert_receptive_field` with lock files of this test; see `fastrf.testing.assert_receptive_field`."""
    update, item = request.config.getoption("--fastrf-update"), request.node
    taken: set[Path] = set()

    def asserting(
        model: Any,
        input_shape: Any = None,
        *,
        rules: Sequence[str] | str = (),
        lock: str | os.PathLike[str] | bool | None = None,
        **options: Any,
    ) -> Analysis:
        __tracebackhide__ = True
        if lock is None:
            lock = not rules
        path = _path(item, lock, taken) if lock is not False else None
        before = path.read_bytes() if path is not None and path.is_file() else b""
        options["update"] = update
        found = assert_receptive_field(model, input_shape, rules=rules, lock=path, **options)
        if update and path is not None and path.read_bytes() != before:
            item.user_properties.append((_WRITTEN, str(path)))
        return found

    return asserting


def _path(item: pytest.Item, lock: str | os.PathLike[str] | bool, taken: set[Path]) -> Path:
    """Where a lock file of a test is: beside it, under a name of its own where none is given."""
    import os

    folder, given = item.path.parent, "" if isinstance(lock, bool) else os.fspath(lock)
    if given.endswith(".json"):
        return folder / given
    if given:
        return folder / FOLDER / f"{_file_name(given)}.json"
    own = _file_name(f"{item.path.stem}.{item.nodeid.partition('::')[2].replace('::', '.')}")
    path, number = folder / FOLDER / f"{own}.json", 1
    while path in taken:
        number += 1
        path = folder / FOLDER / f"{own}.{number}.json"
    taken.add(path)
    return path


def _file_name(name: str) -> str:
    """A name that every file system takes; others have a hash behind them, since two of them may become one."""
    import hashlib
    import re

    plain = re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII)[:MAX_NAME]
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


if "pytest" in globals():
    _fixture = pytest.fixture(name="assert_receptive_field")(_asserting)
