"""`fastrf diff`: which modules' fields differ between two models, or between a model and what was locked of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from fastrf.cli.options import Printed, Source, option
from fastrf.errors import FastRFError, UsageError

if TYPE_CHECKING:
    from fastrf.analysis import Analysis
    from fastrf.checks.locks import Lock

__all__ = ["asked_as", "diff"]

_Model = TypeVar("_Model", bound=Source)
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
    for lock in filter(None, locks):
        source = asked_as(lock, source)
    models = zip((source.model, new), locks, strict=True)
    found = compare(*(lock or _analysed(replace(source, model=model)) for model, lock in models))
    if printed.chosen:
        printed.table(found.table, form)
    else:
        printed.emit(found.to(form, printed.width, printed.is_bold))
    if exit_code and found:
        raise typer.Exit(1)


def _analysed(side: Older) -> Analysis:
    """The analysis of one side; errors say which."""
    try:
        return side.analyze()
    except FastRFError as error:
        raise error if side.model in str(error) else type(error)(f"{side.model}: {error}") from error


def asked_as(lock: Lock, source: _Model) -> _Model:
    """What a model is asked beside a lock: the same, where nothing else is said."""
    shapes = {name: "x".join(map(str, shape)) for name, shape in lock.inputs.items()}
    known = [*shapes.values()] if len(shapes) == 1 else [f"{name}={shape}" for name, shape in shapes.items()]
    wrt = lock.wrt if lock.wrt not in lock.inputs else None
    return replace(source, input_shape=source.input_shape or known, wrt=source.wrt or wrt)
