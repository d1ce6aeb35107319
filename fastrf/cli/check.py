"""`fastrf check`: whether rules hold, and whether a model's fields are what a lock file says; for CI."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastrf.cli.diff import analyzed_as
from fastrf.cli.options import Output, Source, option
from fastrf.errors import FormatError, UsageError, did_you_mean
from fastrf.system import terminal

if TYPE_CHECKING:
    from fastrf.analysis import Analysis
    from fastrf.checks.locks import Lock
    from fastrf.checks.results import CheckResult
    from fastrf.checks.rules import Rules

__all__ = ["check"]

FORMS = ("table", "json", "junit", "github", "sarif", "markdown")
#: What is written to a file of an ending.
ENDINGS = {".json": "json", ".xml": "junit", ".sarif": "sarif", ".md": "markdown", ".txt": "table"}
_RULE = "What must hold, such as `layer4.size >= 224`; may be repeated."
_RULES = "A .toml file of rules, and of the anchors and boxes that they ask for."
_AGAINST = "A lock file: every module's field must be what is written there."
_FORMAT = f"What is printed: {', '.join(FORMS)} (default: table); `github` also writes the summary of a job."
_Text = str | None


@dataclass(frozen=True)
class CheckOptions:
    """What `fastrf check` is asked."""

    rule: Annotated[list[str] | None, option(_RULE, "--rule", "-r", metavar="RULE")] = None
    rules: Annotated[Path | None, option(_RULES, metavar="FILE")] = None
    against: Annotated[Path | None, option(_AGAINST, "--against", "-a", metavar="FILE")] = None
    update: Annotated[bool, option("Write the lock file anew.", "--update")] = False
    anchors: Annotated[_Text, option("Anchors for rules, as `fastrf anchors` takes them.")] = None
    levels: Annotated[_Text, option("The nodes that these stand on, e.g. P3,P4,P5.")] = None
    boxes: Annotated[Path | None, option("Boxes for rules, as `fastrf anchors` takes them.")] = None
    form: Annotated[_Text, option(_FORMAT, "--format", "-f", metavar="FORMAT")] = None
    json: Annotated[bool, option("The same as --format json.", "--json")] = False

    @property
    def printed(self) -> str | None:
        """The form asked for. Raises UsageError for others."""
        if self.json and self.form not in (None, "json"):
            raise UsageError(f"--json and --format {self.form} exclude each other; choose one")
        if self.form is not None and self.form not in FORMS:
            hint = did_you_mean(self.form, FORMS, f"choose from {', '.join(FORMS)}")
            raise UsageError(f"--format {self.form!r} is unknown; {hint}")
        return "json" if self.json else self.form

    @property
    def given(self) -> Rules:
        """All rules. Raises UsageError where there is nothing to check, and what `read_rules` raises."""
        from fastrf.checks.rules import Rules, parsed, read_rules

        if self.update and self.against is None:
            raise UsageError("--update writes the lock file that --against names; give both")
        found = Rules() if self.rules is None else read_rules(self.rules)
        found = Rules((*found.rules, *map(parsed, self.rule or ())), found.anchoring)
        if not found.rules and self.against is None:
            raise UsageError("nothing to check; give --rule 'NODE.size >= 224', --rules FILE or --against FILE")
        names = [name.strip() for name in (self.levels or "").split(",") if name.strip()]
        said: dict[str, Any] = {"anchors": self.anchors, "boxes": self.boxes, "levels": tuple(names) or None}
        return found._replace(anchoring=found.anchoring._replace(**{k: v for k, v in said.items() if v is not None}))


def check(source: Source, asked: CheckOptions, written: Output) -> None:
    """Check that rules hold, and that every module's field is what it was when it was locked.

    Exits with 1 where something fails, 2 for a rule or file that cannot be read. A rule is `NODE.figure OP value`, with
    patterns for names: `backbone.*.exact == true`. A file is written in the form of its ending: .json, .xml (JUnit),
    .sarif, .md or .txt.

    `fastrf check resnet50 --rule "layer4.size >= 224" --rule "output.exact == true"`

    `fastrf check mine:Net --input 3x224x224 --against rf.lock.json --update`, then the same without --update
    """
    form, rules = asked.printed, asked.given  # what does not fit together is told before the work
    ending = written.require(ENDINGS, "for checks")
    if ending and form not in (None, "github", ENDINGS[ending]):
        raise UsageError(f"{written.output} is no {form}; leave --format {form} out, or change the ending")
    lock = _locked(asked)
    written.require_apart(source.model, *filter(None, (asked.against, asked.rules, asked.boxes, asked.anchors)))
    analysis = analyzed_as(lock, asked.against, source) if lock else source.analyze()
    rules = rules._replace(rules=tuple(replace(r, file=r.file or _file(source.model)) for r in rules.rules))
    result = _checked(analysis, rules, asked)
    if written.output is not None:
        _write(written.output, result.to(ENDINGS[ending]))
    if written.output is None or form == "github":
        text = result.to(form or "table", terminal.terminal_width(), terminal.shows_bold())
        typer.echo(text.rstrip("\n"))
    if form == "github":
        _summarize(result)
    if written.output is not None or form not in (None, "table"):
        terminal.note(result.verdict)
    if not result:
        raise typer.Exit(1)


def _locked(asked: CheckOptions) -> Lock | None:
    """The lock file, where there is one. Raises FormatError for another file, UsageError for none."""
    from fastrf.checks.asking import require_lock
    from fastrf.checks.locks import Lock

    path = asked.against
    if path is None:
        return None
    if not path.exists():
        if not asked.update:
            raise UsageError(f"{path} is not there; --update writes it")
        return None
    if asked.update or not path.is_file():
        require_lock(path)
    try:
        return Lock.read(path)
    except FormatError:
        if not asked.update:
            raise
        return None  # what is spoilt is replaced


def _checked(analysis: Analysis, rules: Rules, asked: CheckOptions) -> CheckResult:
    """The result; with --update, the lock file is written once all rules are read and asked."""
    from fastrf.checks.asking import write_lock
    from fastrf.checks.checking import check as checked

    if asked.update and asked.against is not None:
        if rules.rules:
            checked(analysis, rules)
        lock, is_new = write_lock(analysis, asked.against)
        n = len(lock.entries)
        terminal.note(f"{'wrote' if is_new else 'unchanged'} {asked.against}: {n} module{'s' * (n != 1)}")
    return checked(analysis, rules, asked.against)


def _file(model: str) -> str:
    """The file that a model is in, from here; nothing where it is in none."""
    path: Any = model
    if not Path(model).is_file():
        path = getattr(sys.modules.get(model.partition(":")[0]), "__file__", None) if ":" in model else None
    if path is None:
        return ""
    inside = Path(path).resolve()
    return str(inside.relative_to(Path.cwd())) if inside.is_relative_to(Path.cwd()) else str(path)


def _write(path: Path, text: str) -> None:
    from fastrf.system.files import whole_file

    with whole_file(path) as file:
        file.write((text.rstrip("\n") + "\n").encode())
    terminal.note(f"wrote {path}")


def _summarize(result: CheckResult) -> None:
    """Append the table to the summary of the job, where GitHub says where that is. Raises FormatError."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"### fastrf check\n\n{result.to_markdown()}\n\n")
    except OSError as error:
        raise FormatError(f"GITHUB_STEP_SUMMARY {path}: {error.strerror or error}") from error
