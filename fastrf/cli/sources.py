"""The argument MODEL of the command line and the options that belong to it, the same for every command."""

from __future__ import annotations

import functools
import inspect
import json
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastrf.errors import ShapeError, UsageError

if TYPE_CHECKING:
    from fastrf.analysis import Analysis
    from fastrf.field import ReceptiveField

__all__ = ["Source", "parse_input", "takes_model"]

_Texts = list[str] | None


@dataclass(frozen=True)
class Source:
    """A model and what is said of it, as typed."""

    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A built-in network, a .toml, .json, .onnx or .pt2 file, or package.module:callable for a PyTorch "
            "model.",
        ),
    ]
    input_shape: Annotated[
        _Texts,
        typer.Option(
            "--input",
            "-i",
            metavar="SHAPE",
            help="Input shape, e.g. 3x224x224 (with the batch for ONNX, if you like); NAME=SHAPE for one of several.",
        ),
    ] = None
    wrt: Annotated[
        str | None, typer.Option("--wrt", help="The input or node to measure against (default: the first input).")
    ] = None
    ignore: Annotated[
        _Texts,
        typer.Option(
            "--ignore",
            metavar="WHAT",
            help="Take for constants: `statistics` (of norms), `gates` (such as squeeze-and-excitation), or nodes and "
            "modules by name or pattern; may be repeated.",
        ),
    ] = None
    channel_axis: Annotated[
        _Texts,
        typer.Option(
            "--channel-axis",
            metavar="AXIS",
            help="Which axis of the input (without the batch) holds channels, or `none`; NAME=AXIS for one of several. "
            "Left out, it is guessed, and the summary shows the guess.",
        ),
    ] = None
    values: Annotated[
        _Texts,
        typer.Option("--value", metavar="NAME=VALUE", help="The value of a control input, e.g. sr=16000; a constant."),
    ] = None
    mask_below: Annotated[
        float,
        typer.Option(
            "--mask-below",
            metavar="NUMBER",
            help="A constant mask value at most this excludes its place from a softmax; -inf for the strict meaning.",
        ),
    ] = -1e6
    on_unsupported: Annotated[
        str,
        typer.Option(
            "--on-unsupported", metavar="WHAT", help="`raise`, or `full` to over-approximate operators without a rule."
        ),
    ] = "raise"
    trust: Annotated[
        bool, typer.Option("--trust", help="Read a .pt2 file that could run code; only where you trust its origin.")
    ] = False

    def analyze(self, targets: Sequence[str] | None = None) -> Analysis:
        """The analysis of the model, of all nodes or of those wanted."""
        from fastrf.analysis import analyze

        return analyze(
            self.model,
            parse_input(self.input_shape),
            wrt=self.wrt,
            targets=targets,
            ignore=self.ignore or (),
            **self._options(),
        )

    def field(self, node: str | None) -> ReceptiveField:
        """The field of one node, by default of the first output."""
        from fastrf.analysis import analyze
        from fastrf.loading import load

        network = load(self.model, parse_input(self.input_shape), **self._options())
        target = network.outputs[0] if node is None else node
        return analyze(network, wrt=self.wrt, targets=[target], ignore=self.ignore or ())[target]

    def _options(self) -> dict[str, Any]:
        return {
            "channel_axis": _axes(self.channel_axis),
            "values": dict(map(_value, self.values or ())),
            "mask_below": self.mask_below,
            "on_unsupported": self.on_unsupported,
            "trust": self.trust,
        }


def takes_model(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose first parameter is a `Source`, as one that takes the source's own arguments and options."""
    own = {field.name: field for field in fields(Source)}
    hints = typing.get_type_hints(Source, include_extras=True)
    told = typing.get_type_hints(command, include_extras=True)
    first, *rest = inspect.signature(command).parameters.values()
    named = inspect.Parameter.KEYWORD_ONLY
    signature = inspect.signature(Source)
    parameters = [signature.parameters[name].replace(annotation=hints[name], kind=named) for name in own]
    parameters += [p.replace(annotation=told[p.name], kind=named) for p in rest]

    @functools.wraps(command)
    def wrapped(**given: Any) -> None:
        source = Source(**{name: given.pop(name) for name in own})
        command(source, **given)

    wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
    assert first.name == "source"
    return wrapped


def parse_input(shapes: list[str] | None) -> Any:
    """`--input` values: one `3x224x224`, or `name=3x224x224` for each input. Raises ShapeError."""
    if not shapes:
        return None
    if len(shapes) == 1 and "=" not in shapes[0]:
        return _sizes(shapes[0])
    named = {}
    for text in shapes:
        name, equals, sizes = text.partition("=")
        if not equals:
            raise ShapeError(f"--input {text!r} has no name; with several inputs write NAME=3x224x224")
        named[name] = _sizes(sizes)
    return named


def _sizes(text: str) -> tuple[int, ...]:
    parts = text.lower().replace(",", "x").split("x")
    if not all(part.isascii() and part.isdigit() and len(part) < 20 for part in parts):
        raise ShapeError(f"--input {text!r} is not a shape; write sizes like 3x224x224, without the batch")
    return tuple(int(part) for part in parts)


def _axes(texts: Sequence[str] | None) -> Any:
    """`--channel-axis` values: `1` or `none`, or `name=1` for each input. Raises UsageError."""
    if not texts:
        return ...
    if len(texts) == 1 and "=" not in texts[0]:
        return _axis(texts[0])
    if not all("=" in text for text in texts):
        raise UsageError("with several inputs write --channel-axis NAME=AXIS")
    return {name: _axis(axis) for name, _, axis in (text.rpartition("=") for text in texts)}


def _axis(text: str) -> int | None:
    if text.strip().lower() == "none":
        return None
    if not (text.removeprefix("-").isascii() and text.removeprefix("-").isdigit() and len(text) < 20):
        raise UsageError(f"--channel-axis {text!r} is no axis; write a number such as 0, or none")
    return int(text)


def _value(text: str) -> tuple[str, Any]:
    """`sr=16000` as a name and a number, a truth value or a list of them. Raises UsageError."""
    name, equals, value = text.partition("=")
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        found = None
    if not (name and equals) or isinstance(found, str | dict) or found is None:
        raise UsageError(f"--value {text!r} is not NAME=VALUE; write a number, true, false or a list, e.g. sr=16000")
    return name, found
