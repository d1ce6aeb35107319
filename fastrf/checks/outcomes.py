"""CheckResult: what was checked, what was seen, and what failed, as tables and in the forms of CI systems."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fastrf.system.tables import Column, Table, agreed, document, number

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CheckResult", "Outcome"]


@dataclass(frozen=True)
class Outcome:
    """What one rule found at one node, or a lock file at one module.

    `value` is what was seen: a number, a truth, a tuple per axis, or words; `about` says more, such as why it is not
    known; `why` is what the rule is for. `kind` is "rule", or of a lock file "cause", "inherited", "added", "removed",
    "renamed" or "same". `file` and `line` are where the rule, or the module's entry, stands.
    """

    rule: str
    node: str
    value: Any
    passed: bool
    about: str = ""
    why: str = ""
    kind: str = "rule"
    file: str = ""
    line: int = 0

    @property
    def seen(self) -> str:
        """The value in words."""
        return _worded(self.value)

    @property
    def message(self) -> str:
        """One line that says what failed and where."""
        told = ": ".join(filter(None, (self.node, self.seen)))
        return "; ".join(
            filter(None, (f"{told}, not {self.rule}" if self.kind == "rule" else told, self.about, self.why))
        )


@dataclass(frozen=True, repr=False)
class CheckResult:
    """What was checked: `outcomes`, those that failed among them. True where none failed. `str()` is the table.

    `notes` say what is no failure and worth knowing.
    """

    model: str
    inputs: Mapping[str, Sequence[int]]
    wrt: str
    outcomes: tuple[Outcome, ...]
    notes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.passed

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return all(outcome.passed for outcome in self.outcomes)

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """The outcomes that failed."""
        return tuple(outcome for outcome in self.outcomes if not outcome.passed)

    @property
    def checks(self) -> Mapping[str, tuple[Outcome, ...]]:
        """The outcomes by rule, or lock file, in the order given."""
        found: dict[str, tuple[Outcome, ...]] = {}
        for outcome in self.outcomes:
            found[outcome.rule] = (*found.get(outcome.rule, ()), outcome)
        return found

    @property
    def verdict(self) -> str:
        """The last line: how many checks failed."""
        failed, n = len({outcome.rule for outcome in self.failures}), len(self.checks)
        told = f"{n} check{'s' * (n != 1)}"
        return f"FAILED: {failed} of {told}" if failed else f"passed: {told}"

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        return self.table.to_html()

    @property
    def table(self) -> Table:
        """The table that all forms are made of."""
        records = [asdict(outcome) | {"seen": outcome.seen} for outcome in self.outcomes]
        shapes = ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in self.inputs.items())
        columns = [column for column in _COLUMNS if column.title in _ALWAYS or any(map(column.show, records))]
        looks: dict[str, Any] = {"names": 1, "left": 5, "drop": ("what for", "note"), "strong": "result"}
        keys, notes = list(asdict(_EMPTY)), (*self.notes, self.verdict)
        return Table(records, columns, f"{self.model}, {shapes}", notes, keys, head=self._head, **looks)

    @property
    def _head(self) -> dict[str, Any]:
        """What JSON says before the outcomes: `docs/json.md` has every key."""
        told = {"model": self.model, "inputs": self.inputs, "wrt": self.wrt, "units": "pixels"}
        return document("check", **told, passed=self.passed, notes=self.notes, outcomes=None)

    def to_text(self, width: int | None = None, bold: bool = False) -> str:
        """As a table with its notes, as wide as it is, or within a terminal's width."""
        return self.table.to_text(width, bold)

    def to_records(self) -> list[dict[str, Any]]:
        """The outcomes as plain mappings; a value that JSON does not have, such as inf, is a text."""
        return [_plain(asdict(outcome)) for outcome in self.outcomes]

    def to_json(self) -> str:
        """As a JSON object (`docs/json.md`): its outcomes are `to_records`."""
        from fastrf.system.tables import to_json

        return to_json(_plain(self._head) | {"outcomes": self.to_records()})

    def to_markdown(self) -> str:
        """As Markdown, for the summary of a job."""
        return self.table.to_markdown()

    def to_pandas(self) -> pd.DataFrame:
        """As a `pandas.DataFrame`. Raises MissingExtraError without pandas."""
        return self.table.to_pandas()

    def to(self, form: str, width: int | None = None, bold: bool = False) -> str:
        """As a "table", "json", "junit", "github", "sarif" or "markdown"."""
        if form == "table":
            return self.to_text(width, bold)
        if form in ("json", "markdown"):
            return self.to_json() if form == "json" else self.to_markdown()
        from fastrf.checks import reporting

        return str(getattr(reporting, form)(self))


_EMPTY = Outcome("", "", None, True)
_ALWAYS = ("node", "result", "rule", "seen")
_COLUMNS = (
    Column("node", lambda r: r["node"]),
    Column("result", lambda r: "pass" if r["passed"] else "FAIL"),
    Column("rule", lambda r: r["rule"]),
    Column("seen", lambda r: r["seen"]),
    Column("note", lambda r: r["about"]),
    Column("what for", lambda r: r["why"]),
)


def _worded(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return agreed([_worded(part) for part in value])
    return "not known" if math.isnan(value) else number(value)


def _plain(value: Any) -> Any:
    """What JSON holds: numbers that it does not have are texts."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
