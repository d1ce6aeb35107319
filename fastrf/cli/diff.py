"""`fastrf diff`: which modules' fields differ between two models, or between a model and what was locked of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from fastrf.cli.options import Printed, Source, option
from fastrf.errors import FastRFError, UnknownNodeError, UsageError

if TYPE_CHECKING:
    from fastrf.analysis import Analysis
    from fastrf.checks.locks import Lock

__all__ = ["analyzed_as", "diff"]

_OLD = "A model as in other commands, or a lock file that `fastrf check --update` wrote."
_NEW = "Another, or the same as it is now."
_EXIT = "Exit with 1 where anything but names differs."


@dataclass(frozen=True)
class Older(Source):
    """What is compared, and what is said of both."""

    model: Annotated[str, typer.Argument(metavar="OLD", help=_OLD)]


def diff(
    source: Older,
    new: Annotated[str, typer.Argument(metavar="NEW", help=_NEW)],
    printed: Printed,
    exit_code: Annotated[bool, option(_EXIT, "--exit-code")] = False,
) -> None:
    """Compare two models, or lock files: which modules' fields changed, how, and which are the cause.

    Modules that changed themselves stand first, those that only inherit a change after them. --markdown is for a pull
    request.

    `fastrf diff rf.lock.json mine:Net --input 3x224x224` or `fastrf diff old.onnx new.onnx -o diff.md`
    """
    from fastrf.checks.diffing import compare, read_lock

    form = printed.form  # what does not fit together is told before the work
    locks = [read_lock(model) for model in (source.model, new)]
    if all(locks) and source.input_shape is not None:
        raise UsageError("--input is of a model, and both sides are lock files; leave it out")
    models = list(zip((source.model, new), locks, strict=True))
    printed.require_apart(source.model, new)
    beside = next(((lock, model) for model, lock in models if lock), None)
    found = compare(*(lock or _analysed(replace(source, model=model), beside) for model, lock in models))
    if printed.chosen:
        printed.table(found.table, form)
    else:
        printed.emit(found.to(form, printed.width, printed.is_bold))
    if exit_code and found:
        raise typer.Exit(1)


def _analysed(side: Older, beside: tuple[Lock, str] | None) -> Analysis:
    """The analysis of one side; errors say which."""
    try:
        return analyzed_as(*beside, side) if beside else side.analyze()
    except FastRFError as error:
        raise error if side.model in str(error) else type(error)(f"{side.model}: {error}") from error


def analyzed_as(lock: Lock, path: object, source: Source) -> Analysis:
    """The analysis of a model beside the lock in a file: asked for the same, where nothing else is said."""
    from fastrf.checks.asking import asked_as

    shapes, wrt = asked_as(lock, replace(source, input_shape=None).load)
    texts = {name: "x".join(map(str, shape)) for name, shape in (shapes or {}).items()}
    known = [*texts.values()] if len(texts) == 1 else [f"{name}={shape}" for name, shape in texts.items()]
    try:
        return replace(source, input_shape=source.input_shape or known or None, wrt=source.wrt or wrt).analyze()
    except UnknownNodeError as error:
        if source.wrt or wrt is None:
            raise
        raise UsageError(f"{path} was measured against {wrt!r}: {error}; --wrt gives another") from error
