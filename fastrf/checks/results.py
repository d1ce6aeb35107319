"""CheckResult: what was checked, what was seen, and what failed, as tables and in the forms of CI systems."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fastrf.checks import reporting
from fastrf.checks.outcomes import Outcome, Outcomes
from fastrf.system.tables import Column, Shown, Table, document, to_json

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CheckResult"]


@dataclass(frozen=True, repr=False)
class CheckResult(Outcomes, Shown):
    """What was checked: `outcomes`, those that failed among them. True where none failed. `str()` is the table.

    `notes` say what is no failure and worth knowing.
    """

    @property
    def table(self) -> Table:
        """The table that all forms are made of."""
        records = [asdict(outcome) | {"seen": outcome.seen} for outcome in self.outcomes]
        shapes = ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in self.inputs.items())
        columns = [column for column in _COLUMNS if column.title in _ALWAYS or any(map(column.show, records))]
        looks: dict[str, Any] = {"names": 1, "left": 5, "drop": ("what for", "note"), "strong": "result"}
        rules = {record["rule"] for record in records}
        looks |= {"cut": ("rule", "node"), "fold": ("note", "seen"), "idle": rules.pop() if len(rules) == 1 else None}
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


def _plain(value: Any) -> Any:
    """What JSON holds: numbers that it does not have are texts."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
