"""What commands share: the argument MODEL with the options that belong to it, how tables leave, and what texts mean."""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import logging
import typing
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from fastrf.errors import FormatError, ShapeError, UsageError
from fastrf.system import terminal
from fastrf.system.terminal import progress_bar, status

if TYPE_CHECKING:
    from fastrf.analysis import Analysis
    from fastrf.field import ReceptiveField
    from fastrf.network import Network
    from fastrf.queries.sizes.answers import Sizes
    from fastrf.system.tables import Table

__all__ = [
    "AnchorOptions",
    "NodeOption",
    "Output",
    "Printed",
    "Source",
    "option",
    "parse_index",
    "parse_input",
    "require_new",
    "unfolded",
]


def option(told: str, *names: str, **how: Any) -> Any:
    """An option of a command: what people are told, its names where they are not the parameter's, and what typer takes.

    Switches need their names: typer would add a `--no-` to each.
    """
    return typer.Option(*names, help=told, **how)


_Answer = TypeVar("_Answer")
_log = logging.getLogger(__name__)

_Text = str | None
_Texts = list[str] | None
NodeOption = Annotated[_Text, option("The node to look at (default: the network's first output).", "--node", "-n")]
_TOLD = "Write to a new file; its ending chooses the format."
_OVERWRITE = "Replace a file that is there."
OutputOption = Annotated[Path | None, option(_TOLD, "--output", "-o", metavar="FILE")]
_MODEL = "A built-in network, a .toml, .json, .onnx or .pt2 file, or package.module:callable for a PyTorch model."
_INPUT = "Input shape, e.g. 3x224x224 (with the batch for ONNX, if you like); NAME=SHAPE for one of several."
_IGNORE = (
    "Take for constants: `statistics` (of norms), `gates` (such as squeeze-and-excitation), or nodes and modules by "
    "name or pattern; may be repeated."
)
_AXIS = (
    "Which axis of the input (without the batch) holds channels, or `none`; NAME=AXIS for one of several. Left out, it "
    "is guessed, and the summary shows the guess."
)
_VALUE = "The value of a control input, e.g. sr=16000; a constant."
_BELOW = "A constant mask value at most this excludes its place from a softmax; -inf for the strict meaning."
_CAPTURE = "How a PyTorch module is followed: `record` by one run, `export` by torch.export, `auto` by what can."
_UNSUPPORTED = "`raise`, or `full` to over-approximate operators without a rule."
_ANCHORS = "yolov5, retinanet, s3fd, lffd, ssd, or a file of anchors."
_BOXES = "COCO .json, YOLO data.yaml or labels, VOC .xml, .csv or .npy."
_FRACTION = "rfla, lffd: the share of the field that anchors take, or `effective`: four sigma of the path weights."
_CENTERS = "Where suggestions stand: `framework` (that of the anchors given, if any), `nominal` or `effective`."
_FRAMEWORK = "Place and write suggestions as torchvision, detectron2, mmdetection, yolo or lffd does."
_WIDE = "Print every column whole, however narrow the terminal."
_COLUMNS = "Print these columns alone, by their headings."
_TRUST = "Read a .pt2 file that could run code; only where you trust its origin."


@dataclass(frozen=True)
class Source:
    """A model and what is said of it, as typed."""

    model: Annotated[str, typer.Argument(metavar="MODEL", help=_MODEL)]
    input_shape: Annotated[_Texts, option(_INPUT, "--input", "-i", metavar="SHAPE")] = None
    wrt: Annotated[_Text, option("The input or node to measure against (default: the first input).")] = None
    ignore: Annotated[_Texts, option(_IGNORE, metavar="WHAT")] = None
    channel_axis: Annotated[_Texts, option(_AXIS, metavar="AXIS")] = None
    values: Annotated[_Texts, option(_VALUE, "--value", metavar="NAME=VALUE")] = None
    mask_below: Annotated[float, option(_BELOW, metavar="NUMBER")] = -1e6
    capture: Annotated[str, option(_CAPTURE, metavar="HOW")] = "auto"
    on_unsupported: Annotated[str, option(_UNSUPPORTED, metavar="WHAT")] = "raise"
    trust: Annotated[bool, option(_TRUST, "--trust")] = False

    def analyze(self) -> Analysis:
        """The analysis of all nodes of the model."""
        from fastrf.analysis import analyze

        with status(f"reading {self.model} ..."):
            network = self.load()
            _log.debug("read %s: %d layers", self.model, len(network.nodes))
            found = analyze(network, wrt=self.wrt, ignore=self.ignore or ())
            _log.debug("analysed every layer against %r", found.wrt)
            return found

    def sizes(self, within: tuple[int, int] | None) -> Sizes:
        """The sizes of the model's input that fit."""
        from fastrf.frontends.loading import sizes

        if self.ignore:
            raise UsageError("--ignore changes no sizes; leave it out")
        with progress_bar(f"sizes of {self.model}") as progress:
            return self._asked(functools.partial(sizes, within=within, wrt=self.wrt, progress=progress))

    def field(self, node: str | None) -> ReceptiveField:
        """The field of one node, by default of the first output."""
        analysis = self.analysis_of(node)
        return analysis.output if node is None else analysis[node]

    def analysis_of(self, node: str | None) -> Analysis:
        """The analysis of one node, by default of the first output."""
        from fastrf.analysis import analyze

        with status(f"reading {self.model} ..."):
            network = self.load()
            target = network.outputs[0] if node is None else node
            _log.debug("read %s: %d layers", self.model, len(network.nodes))
            found = analyze(network, wrt=self.wrt, targets=[target], ignore=self.ignore or ())
            _log.debug("analysed %r against %r", target, found.wrt)
            found[target]  # an unknown name is told at once
            return found

    def load(self) -> Network:
        """The network of the model."""
        from fastrf.frontends.loading import load

        return self._asked(load)

    def _asked(self, function: Callable[..., _Answer]) -> _Answer:
        """What `load`, or a function that takes the same, says of the model."""
        try:
            return self._given_to(function, self.channel_axis)
        except ShapeError as error:
            if self.input_shape is None and "input_shape" in str(error):
                said = f"{self.model}: its input shape is not known; give it with --input, such as --input 3x224x224"
                raise ShapeError(said) from error
            raise

    def _given_to(self, function: Callable[..., _Answer], axes: list[str] | None) -> _Answer:
        return function(
            self.model,
            parse_input(self.input_shape),
            channel_axis=_by_name(axes, _axis, "--channel-axis", "AXIS") if axes else ...,
            values=dict(map(_value, self.values or ())),
            mask_below=self.mask_below,
            capture=self.capture,
            on_unsupported=self.on_unsupported,
            trust=self.trust,
        )


@dataclass(frozen=True)
class AnchorOptions:
    """What `fastrf anchors` is asked."""

    levels: Annotated[
        str, option("The nodes that anchors stand on, e.g. P3,P4,P5, or a detector's keys: 0,1,p6.", "--levels", "-l")
    ]
    boxes: Annotated[Path | None, option(_BOXES, "--boxes", "-b")] = None
    anchors: Annotated[_Text, option(_ANCHORS, "--anchors", "-a")] = None
    suggest: Annotated[_Text, option("Suggest others: kmeans, s3fd, lffd or rfla.", "--suggest", "-s")] = None
    per_level: Annotated[int, option("Anchors of each level, for kmeans.")] = 3
    layout: Annotated[_Text, option("Scales times ratios that all levels share, e.g. 3x3.", metavar="SxR")] = None
    fraction: Annotated[_Text, option(_FRACTION, metavar="SHARE")] = None
    centers: Annotated[str, option(_CENTERS, metavar="WHERE")] = "framework"
    framework: Annotated[_Text, option(_FRAMEWORK, metavar="NAME")] = None
    form: Annotated[_Text, option("Give only what to paste, for one of those frameworks.")] = None
    resize: Annotated[_Text, option("letterbox, stretch, shortest or none (default: by the boxes).")] = None
    scale: Annotated[_Text, option("A random scale on top, e.g. 0.5,1.5.", metavar="LOW,HIGH")] = None
    threshold: Annotated[float, option("YOLO's anchor_t.", "--threshold", "-t")] = 4.0
    seed: Annotated[int, option("For kmeans and --scale.", min=0)] = 0
    exact: Annotated[bool, option("Lay boxes over the exact mask of every position.", "--exact")] = False


def require_new(path: Path | None, overwrite: bool) -> None:
    """Raises UsageError for a file that is there, before there is work to lose."""
    if path is not None and path.exists() and not overwrite:
        raise UsageError(f"{path} exists; --overwrite replaces it")


@dataclass(frozen=True)
class Output:
    """The file that an answer is written to."""

    output: OutputOption = None
    overwrite: Annotated[bool, option(_OVERWRITE, "--overwrite")] = False

    def require_apart(self, *read: object) -> None:
        """Raise UsageError where the file is one of those that are read, by whatever name."""
        for name in map(str, read):
            is_same = False
            with contextlib.suppress(OSError, ValueError):  # of what is not there, or no name of a file
                is_same = self.output is not None and self.output.samefile(name)
            if is_same:
                raise UsageError(f"{self.output} is read as {name}; write to another file")

    def require(self, endings: Collection[str], what: str, asked: Sequence[str] = ()) -> str:
        """The ending of the file, "" without one, before there is work to lose; `asked` are endings chosen otherwise.

        Raises FormatError for another ending, UsageError for a file that is there or an ending that is not asked for.
        """
        if self.output is None:
            return asked[0] if asked else ""
        ending = self.output.suffix
        if ending not in endings:
            raise FormatError(f"{self.output}: ending {ending!r} is unknown {what}; use {', '.join(endings)}")
        if asked and ending not in asked:
            raise UsageError(f"{self.output} is no {asked[0]}; leave --{asked[0][1:]} out, or change the ending")
        require_new(self.output, self.overwrite)
        return ending


@dataclass(frozen=True)
class Printed(Output):
    """How a table leaves: printed, or written to a file whose ending says how."""

    json: Annotated[bool, option("JSON, printed or in the file.", "--json")] = False
    csv: Annotated[bool, option("CSV, printed or in the file.", "--csv")] = False
    markdown: Annotated[bool, option("A Markdown table, printed or in the file.", "--markdown")] = False
    wide: Annotated[bool, option(_WIDE, "--wide")] = False
    columns: Annotated[_Text, option(_COLUMNS, metavar="NAME,NAME,...")] = None

    @property
    def form(self) -> str:
        """One of "table", "json", "csv" and "markdown". Raises UsageError or FormatError."""
        asked = [name for name in ("json", "csv", "markdown") if getattr(self, name)]
        if len(asked) > 1:
            raise UsageError(f"--{asked[0]} and --{asked[1]} exclude each other; choose one")
        forms = {".json": "json", ".csv": "csv", ".md": "markdown", ".txt": "table"}
        ending = self.require(forms, "here", [e for e, form in forms.items() if form in asked])
        if self.columns and forms.get(ending) in ("json", "csv"):
            raise UsageError(f"--columns chooses what people see; {forms[ending]} has every value")
        return forms.get(ending, "table")

    @property
    def width(self) -> int | None:
        """The terminal's, if the table goes to one and is to fit it."""
        return terminal.terminal_width() if self.output is None and not self.wide else None

    @property
    def chosen(self) -> list[str]:
        """The headings of the columns asked for."""
        return [title.strip() for title in (self.columns or "").split(",") if title.strip()]

    @property
    def is_bold(self) -> bool:
        """Whether the table goes where bold letters are known."""
        return self.output is None and terminal.shows_bold()

    def table(self, table: Table, form: str) -> None:
        """Print the table, or write it to the file. Raises UsageError for columns that it does not have."""
        table = table.only(self.chosen) if self.chosen else table
        self.emit(table.to_text(self.width, self.is_bold) if form == "table" else table.to(form))

    def emit(self, text: str) -> None:
        """Print the text, or write the file."""
        if self.output is None:
            typer.echo(text.rstrip("\n"))
            return
        from fastrf.system.files import whole_file

        with whole_file(self.output) as file:
            file.write((text.rstrip("\n") + "\n").encode())
        terminal.note(f"wrote {self.output}")


def unfolded(command: Callable[..., None]) -> Callable[..., None]:
    """A command of which every parameter that is a data class stands for the options that are the class's members."""
    kinds = typing.get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: kind for name, kind in kinds.items() if is_dataclass(kind)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        members = inspect.signature(kinds[name]).parameters if name in groups else {name: parameter}
        hints = typing.get_type_hints(kinds[name], include_extras=True) if name in groups else kinds
        named = inspect.Parameter.KEYWORD_ONLY
        parameters += [member.replace(annotation=hints[key], kind=named) for key, member in members.items()]

    @functools.wraps(command)
    def wrapped(**given: Any) -> None:
        made = {
            name: kind(**{member.name: given.pop(member.name) for member in fields(kind)})
            for name, kind in groups.items()
        }
        command(**made, **given)

    wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapped


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20


def parse_index(text: str, option: str) -> tuple[int, ...]:
    """`3,4` as an index. Raises UsageError."""
    parts = text.split(",") if text else []
    if not all(_is_number(part.strip()) for part in parts):
        raise UsageError(f"{option} {text!r} is not an index; write numbers like 3,4, from 0")
    return tuple(int(part) for part in parts)


def parse_input(shapes: list[str] | None) -> Any:
    """`--input` values: one `3x224x224`, or `name=3x224x224` for each input. Raises ShapeError and UsageError."""
    return _by_name(shapes, _sizes, "--input", "3x224x224") if shapes else None


def _by_name(texts: Sequence[str], read: Callable[[str], Any], option: str, example: str) -> Any:
    """What one text says, or by name what each of several says. Raises UsageError."""
    if len(texts) == 1 and "=" not in texts[0]:
        return read(texts[0])
    nameless = next((text for text in texts if "=" not in text), None)
    if nameless is not None:
        raise UsageError(f"{option} {nameless!r} has no name; with several inputs write NAME={example}")
    return {name: read(value) for name, _, value in (text.rpartition("=") for text in texts)}


def _sizes(text: str) -> tuple[int, ...]:
    parts = text.lower().replace(",", "x").split("x")
    if not all(map(_is_number, parts)):
        raise ShapeError(f"--input {text!r} is not a shape; write sizes like 3x224x224, without the batch")
    return tuple(int(part) for part in parts)


def _axis(text: str) -> int | None:
    """`--channel-axis`: a number, or `none`. Raises UsageError."""
    if text.strip().lower() == "none":
        return None
    if not _is_number(text.removeprefix("-")):
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
