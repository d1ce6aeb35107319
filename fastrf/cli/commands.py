"""The command line: thin commands over the public functions.

`main` turns every FastRFError into one line on stderr and exit code 2; `--debug` shows the traceback instead.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from fastrf.cli.check import check
from fastrf.cli.context import context
from fastrf.cli.converting import convert_when_needed
from fastrf.cli.diff import diff
from fastrf.cli.options import (
    AnchorOptions,
    NodeOption,
    Output,
    Printed,
    Source,
    option,
    parse_index,
    require_new,
    unfolded,
)
from fastrf.cli.report import report
from fastrf.cli.sizes import sizes
from fastrf.cli.sweep import sweep
from fastrf.cli.tiling import tiling
from fastrf.cli.why import why
from fastrf.errors import FastRFError, UsageError, shown
from fastrf.system import terminal as console

__all__ = ["app", "main"]

_log = logging.getLogger(__name__)

#: What the system says of an output that cannot be written.
_OF_OUTPUT = (errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EFBIG, errno.EDQUOT, errno.EBADF)

#: Switches that may stand anywhere.
_DEBUG, _QUIET, _VERBOSE = ("--debug",), ("--quiet", "-q"), ("--verbose", "-v")
#: Errors are not longer than this.
MAX_LINE = 600
_MASKS = "Where to: a new .npy, .npz or .zarr."

app = typer.Typer(
    name="fastrf",
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Exact receptive fields of neural networks: which input pixels does each neuron depend on?",
    epilog="A MODEL is a built-in network (`fastrf zoo` lists them), a .toml / .json spec, an .onnx or .pt2 file, or "
    "package.module:callable for a PyTorch model.",
)


def _show_version(value: bool) -> None:
    if value:
        from fastrf import __version__

        typer.echo(f"fastrf {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, option("Show a traceback where an error would be one line.", *_DEBUG)] = False,
    quiet: Annotated[bool, option("Say nothing beside the answer and errors.", *_QUIET)] = False,
    verbose: Annotated[bool, option("Say what is done, and how long it took.", *_VERBOSE)] = False,
    version: Annotated[bool, option("Print the version.", "--version", callback=_show_version, is_eager=True)] = False,
) -> None:
    pass


@app.command()
@unfolded
def summary(
    source: Source,
    printed: Printed,
    depth: Annotated[int | None, option("Fold dotted names to so many parts.", min=1)] = None,
) -> None:
    """Print a table of every layer: shape, parameters, receptive field, stride, padding, start, borders.

    `fastrf summary resnet50 --depth 1` or `fastrf summary net.toml --input 3x640x640 --json`
    """
    form = printed.form  # what does not fit together is told before the work
    printed.table(source.analyze().summary(depth).table, form)


@app.command()
@unfolded
def mask(
    source: Source,
    written: Output,
    node: NodeOption = None,
    at: Annotated[str | None, option("The position (default: the middle of the map).", metavar="Y,X")] = None,
    neuron: Annotated[str | None, option("One neuron instead of a position.", metavar="C,Y,X")] = None,
    json: Annotated[bool, option("JSON, printed or in the file.", "--json")] = False,
    image: Annotated[Path | None, option("A picture to lay under the mask of a .png.", metavar="FILE")] = None,
) -> None:
    """Show exactly which pixels one position (or one neuron) sees.

    Prints the part around the mask as text, `#` for a pixel that is seen, or writes it whole to .npy, .npz, .png, .txt
    or .json. A .png shows it with axes, the tight box and the centre, over a picture if one is given.

    `fastrf mask unet --input 3x64x64 --node dec4.relu2 --at 0,0` or
    `fastrf mask resnet50 --node layer3 --at 3,3 -o mask.png --image photo.jpg`
    """
    from fastrf.cli import drawing
    from fastrf.queries import facts

    ending = written.require(drawing.MASKS, "for a mask", [".json"] if json else ())
    if neuron is not None and at is not None:
        raise UsageError("--at and --neuron exclude each other; give one")
    drawing.require_tools(ending, image)
    analysis = source.analysis_of(node)
    field = analysis.output if node is None else analysis[node]
    origin = facts.origin(analysis.network, analysis.wrt)
    if neuron is not None:
        where = parse_index(neuron, "--neuron")
        pixels = field.neuron_pixels(where)
    else:
        where = tuple(n // 2 for n in field.position_shape) if at is None else parse_index(at, "--at")
        pixels = field.mask(where)
    if written.output is not None:
        drawing.write_mask(field, where, pixels, written.output, image, origin)
        console.note(f"wrote {written.output}: {pixels.sum()} of {pixels.size} pixels, shape {pixels.shape}")
        return
    told = drawing.describe_json(field, where, pixels, origin) if json else drawing.describe(field, where, pixels)
    typer.echo(told)


@app.command()
@unfolded
def masks(
    source: Source,
    output: Annotated[Path, option(_MASKS, "--output", "-o", metavar="FILE")],
    node: NodeOption = None,
    packed: Annotated[bool, option("Eight pixels a byte, as numpy.packbits does.", "--packed")] = False,
    chunks: Annotated[int | None, option("How many masks at a time.", metavar="N")] = None,
    resume: Annotated[bool, option("Go on with a .zarr that was interrupted.", "--resume")] = False,
    overwrite: Annotated[bool, option("Replace a .npy or .npz that is there.", "--overwrite")] = False,
) -> None:
    """Write the masks of every position of a node, chunk by chunk.

    The array is bool[positions, H, W], positions in row-major order; a .npz holds it as `masks`. A .zarr can be
    larger than memory, and resumed.

    `fastrf masks unet --input 1x224x224 -o masks.zarr` or `fastrf masks resnet50 --node layer4 --packed -o masks.npy`
    """
    from fastrf.queries import streams

    if resume and output.suffix != ".zarr":
        raise UsageError("--resume needs a .zarr; other files appear whole or not at all")
    streams.require_form(output)
    if output.suffix != ".zarr":
        require_new(output, overwrite)
    field = source.field(node)
    stream = streams.Stream.of(field.positional, packed, chunks)
    with console.progress_bar("masks") as report:
        if output.suffix == ".zarr":
            streams.to_zarr(stream, output, name=field.name, resume=resume, progress=report)
        else:
            streams.to_file(stream, output, report)
    shape = "x".join(map(str, stream.shape))
    console.note(f"wrote {output}: {stream.dtype} {shape}, in {stream.n_chunks} chunk{'s' * (stream.n_chunks > 1)}")


@app.command()
@unfolded
def boxes(
    source: Source,
    printed: Printed,
    node: NodeOption = None,
    at: Annotated[str | None, option("One position only.", metavar="Y,X")] = None,
) -> None:
    """List the tight box, the exact area and the density of every position of a node.

    Intervals are half-open and clipped to the input. Files: .csv, .json, .npy (the boxes), .npz.

    `fastrf boxes resnet50 --node layer4 --csv` or `fastrf boxes unet --at 100,100`
    """
    from fastrf.cli import drawing
    from fastrf.queries import facts
    from fastrf.system.tables import Table, document

    only = None if at is None else parse_index(at, "--at")
    output = printed.output
    if output is None or output.suffix not in (".npy", ".npz"):
        form, analysis = printed.form, source.analysis_of(node)
        field = analysis.output if node is None else analysis[node]
        head = document("boxes", **facts.origin(analysis.network, analysis.wrt), node=field.name, positions=None)
        printed.table(Table(drawing.box_rows(field, only), head=head), form)
        return
    if only is not None:
        raise UsageError("--at gives one box; -o with .npy or .npz writes all of them")
    require_new(output, printed.overwrite)
    drawing.write_boxes(source.field(node), output)
    console.note(f"wrote {output}")


app.command()(unfolded(check))
app.command()(unfolded(context))
app.command()(unfolded(diff))
app.command()(unfolded(sweep))
app.command()(unfolded(sizes))
app.command()(unfolded(report))
app.command()(unfolded(why))
app.command()(unfolded(tiling))


@app.command()
def zoo(json: Annotated[bool, option("Print JSON.", "--json")] = False) -> None:
    """List the built-in networks."""
    from fastrf import zoo as networks
    from fastrf.system.tables import Table, document

    specs = {name: networks.build(name) for name in networks.names()}
    rows = [
        {"name": name, "input": "x".join(map(str, spec["input_shape"])), "layers": len(spec["layers"])}
        for name, spec in specs.items()
    ]
    table = Table(rows, head=document("zoo", networks=None))
    typer.echo(table.to("json" if json else "table", console.terminal_width()))


@app.command()
def warmup() -> None:
    """Compile every kernel now, so that the first analysis does not wait for it. The result is kept on disk."""
    from fastrf.cli.warmup import STAGES

    with console.progress_bar("compiling") as progress:
        for done, (name, action) in enumerate(STAGES.items(), start=1):
            began = time.perf_counter()
            action()
            console.note(f"{name:10s} {time.perf_counter() - began:6.2f} s")
            (progress or console.silent)(done, len(STAGES))


@app.command()
@unfolded
def anchors(source: Source, asked: AnchorOptions, printed: Printed) -> None:
    """Which level sees which objects, where its anchors stand, and which to use instead.

    `fastrf anchors yolov5s --levels P3,P4,P5 --anchors yolov5 --boxes instances.json -o report.json`

    `fastrf anchors yolov5s --levels P3,P4,P5 --boxes instances.json --suggest kmeans --form yolo`
    """
    from fastrf.cli.anchors import answer

    if asked.form is not None:
        require_new(printed.output, printed.overwrite)
    form = "table" if asked.form is not None else printed.form
    has_input, looks = source.input_shape is not None, {"bold": printed.is_bold, "columns": printed.chosen}
    printed.emit(answer(source.analyze(), asked, form, printed.width, looks, has_input=has_input))


def main(arguments: list[str] | None = None) -> None:
    """What the `fastrf` command does; whatever fails is told in one line, or with `--debug` in full.

    Raises SystemExit: 0 fine, 1 a check failed, 2 bad usage, bad input, or output that cannot be written, 130 when
    interrupted.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    words = [word for word in given if word not in (*_DEBUG, *_QUIET, *_VERBOSE)]
    console.speak(quiet=any(word in _QUIET for word in given), verbose=any(word in _VERBOSE for word in given))
    command = typer.main.get_command(app)
    convert_when_needed(command)
    code: object = 0 if words else 2  # without arguments: help, and bad usage
    try:
        # not command.main(), which ends the process as it sees fit, and differently from release to release
        with command.make_context("fastrf", words or ["--help"]) as context:
            command.invoke(context)
        sys.stdout.flush()
        _log.debug("done: %s", " ".join(words))
    except typer.Exit as stop:
        code = stop.exit_code or code
    except (KeyboardInterrupt, typer.Abort):
        code = 128 + signal.SIGINT
    except (Exception, SystemExit) as error:
        if _DEBUG[0] in given and isinstance(error, Exception):
            raise
        code = _told(error)
    raise SystemExit(code)


def _told(error: BaseException) -> int:
    """The exit code of a failure, which is told on stderr; but whoever closes a pipe wanted no more."""
    if isinstance(error, SystemExit) and isinstance(error.__context__, BrokenPipeError):
        error = error.__context__  # rich ends the process itself
    message = _message(error)
    if isinstance(error, OSError) and _gives_up_output(error):
        if isinstance(error, BrokenPipeError):
            return 0
        message = f"the output cannot be written: {error.strerror or error}"
    line = shown(message)
    console.error(f"fastrf: {line if len(line) <= MAX_LINE else f'{line[:MAX_LINE]}...'}")
    return 2


def _gives_up_output(error: OSError) -> bool:
    """Whether it is stdout that failed; then it is turned away, or Python would write the rest when it ends."""
    if error.filename is not None or error.errno not in _OF_OUTPUT:
        return False
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def _message(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "out of memory; use a smaller --input or fewer positions"
    if hasattr(error, "format_message"):
        return f"{error.format_message()} Try --help."
    if isinstance(error, FastRFError):
        return str(error)
    return f"{type(error).__name__}: {error}; --debug shows where"
