"""load(): anything a user may hold, to a Network. Formats are recognised here and read by `frontends`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastrf import zoo
from fastrf.errors import FormatError, a_kind
from fastrf.frontends import spec
from fastrf.frontends.options import MASK_BELOW, ChannelAxis, Options
from fastrf.frontends.python import require_callable
from fastrf.network import Network
from fastrf.system.extras import require
from fastrf.system.files import opened
from fastrf.system.terminal import Progress, silent

if TYPE_CHECKING:
    from fastrf.queries.sizes.answers import Sizes

__all__ = ["load", "read", "sizes"]

#: Files of PyTorch and others that hold no architecture, or one as code.
_STATES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors", ".pkl", ".h5", ".keras")


def load(
    source: Any,
    input_shape: Any = None,
    *,
    channel_axis: ChannelAxis = ...,
    values: Mapping[str, Any] | None = None,
    mask_below: float = MASK_BELOW,
    capture: str = "auto",
    on_unsupported: str = "raise",
    trust: bool = False,
) -> Network:
    """A Network from a zoo name, a spec (path, mapping, list of layers, classic table), an ONNX or PyTorch model.

    A Network is given back as it is. A PyTorch model is a `torch.nn.Module` (or a list of them, one after another), an
    `ExportedProgram`, a `.pt2` file, "timm/NAME", or "package.module:callable" (code of yours, which only text may
    name; a factory is asked for no pretrained weights); it is captured in evaluation mode and left as it was. An ONNX
    model is a `.onnx` file, whose weights are never read, or a `ModelProto`.

    `input_shape` is without the batch, e.g. `(3, 224, 224)`; with several inputs a mapping by name. A leading 1 is a
    batch where a PyTorch model takes the shape only without it. It overrides the shape in the source. `channel_axis`
    says which axis of an input (without the batch) holds channels: an int, None for none, or a mapping by input name;
    left out, it is guessed, and `repr` and `summary` show the guess. `values` holds values of control inputs by name,
    such as `{"sr": 16000}`: they are constants, not inputs. A constant that is added to, or filled into, what a softmax
    reads excludes its place where it is `-inf`, the smallest number of its dtype, or at most `mask_below`; `-math.inf`
    is the strict meaning. `capture` says how a PyTorch module is followed: "record" by one run on tensors without data,
    "export" by `torch.export`, "auto" by the first and, where that cannot follow, the second. `on_unsupported="full"`
    goes on where an operator has no rule and marks what follows as approximate. Nothing in a file is executed: what of
    a `.pt2` file could run code is refused, unless `trust` says that its origin is trusted.

    Raises FormatError for what cannot be read, NetworkError, ShapeError, UnsupportedOpError or LimitError for what
    cannot be.
    """
    return read(source, input_shape, Options(channel_axis, values or {}, mask_below, on_unsupported, trust, capture))


def sizes(
    source: Any,
    input_shape: Any = None,
    *,
    within: tuple[int, int] | None = None,
    wrt: str | None = None,
    channel_axis: ChannelAxis = ...,
    values: Mapping[str, Any] | None = None,
    mask_below: float = MASK_BELOW,
    capture: str = "auto",
    on_unsupported: str = "raise",
    trust: bool = False,
    progress: Progress | None = None,
) -> Sizes:
    """Which sizes of the input fit a network, its spatial axes one by one, solved from the shapes of its layers.

    A size fits if every layer takes what it gets and keeps its weights. `source` and the options are those of
    `fastrf.load`; `input_shape` need not fit itself: then the network is read at the next size that does. `within`, a
    half-open range of sizes, limits what is listed. With several inputs, `wrt` names one; the others keep their shapes.

    A PyTorch module is run with a symbol for the size, its own conditions included. An ONNX file that fixes an axis at
    the given size takes no other; give another size to ask its layers. Another network that is read for one input anew
    (a file, a built-in one) may hold numbers that follow its size: it is read at some sizes to find them and at others
    to look at the answer, which `assumes` says. `progress(done, total)` is called as sizes are settled or read.

    Raises what `fastrf.load` raises, UsageError for a range that is none or an input that is not named, ShapeError for
    an input without spatial axes, and UnsupportedOpError for layers whose shapes are not solved.
    """
    from fastrf.queries.sizes.answers import Sizes
    from fastrf.queries.sizes.solving import checked_range, of_network

    options = Options(channel_axis, values or {}, mask_below, on_unsupported, trust, capture)
    bounds = checked_range(within)
    if _is_torch(source) or _names_torch(source):
        found = _module_sizes(source, input_shape, options, wrt, bounds, progress or silent)
        if isinstance(found, Sizes):
            return found
        source, input_shape = found
    told = {**_about(source), "progress": progress or silent}
    return of_network(lambda shape: read(source, shape, options), input_shape, wrt, bounds, **told)


def _about(source: Any) -> dict[str, Any]:
    """What `of_network` is told of a source: whether it is one network for any size, and the sizes that it states."""
    ending = str(os.fspath(source)).lower() if isinstance(source, str | os.PathLike) else ""
    fixed = isinstance(source, Network | Mapping | list | tuple) or ending.endswith((".toml", ".json"))
    states = _is_onnx(source) or ending.endswith(".onnx")
    return {"fixed": fixed, "stated": lambda: _stated(source) if states else {}}


def read(source: Any, input_shape: Any, options: Options) -> Network:
    """`load` with its options as one value."""
    if isinstance(source, Network):
        return _reshaped(source, input_shape, options)
    if isinstance(source, Mapping):
        return spec.from_mapping(source, input_shape, options)
    if isinstance(source, list | tuple) and source and all(map(_is_torch, source)):
        return _from_torch(sys.modules["torch"].nn.Sequential(*source), input_shape, options)
    if isinstance(source, list | tuple):
        return spec.from_layers(source, input_shape, options)
    if isinstance(source, os.PathLike):
        return _from_file(os.fspath(source), input_shape, options)
    if isinstance(source, str):
        return _from_name(source, input_shape, options)
    if _is_onnx(source):
        return _from_onnx(source, input_shape, options)
    if _is_torch(source):
        return _from_torch(source, input_shape, options)
    made = getattr(source, "__name__", "") if callable(source) else ""
    if made:
        if isinstance(source, type):
            raise FormatError(f"{made} is a class, not a network; give what it makes, such as {made}()")
        made = "this lambda" if made == "<lambda>" else made
        raise FormatError(f"{made} is a function, not a network; give the torch.nn.Module that it makes or is used in")
    raise FormatError(
        f"{a_kind(source)} is not a network; give a zoo name, a .toml, .json, .onnx or .pt2 path, a mapping, "
        "a list of layers, a ModelProto or a torch.nn.Module"
    )


def _reshaped(network: Network, input_shape: Any, options: Options) -> Network:
    """The network as it is, or with other shapes or channel axes of its inputs."""
    if input_shape is None and options.channel_axis is ... and not options.values:
        return network
    return spec.from_mapping(network.to_dict(), input_shape, options)


def _from_name(name: str, input_shape: Any, options: Options) -> Network:
    """A path if it has a known ending or exists, timm's or a PyTorch callable by its form, otherwise a zoo name."""
    if name.lower().endswith((".onnx", ".pt2", ".toml", ".json")):
        return _from_file(name, input_shape, options)
    if name not in zoo.names():
        require_callable(name)
    if _is_file(name):
        return _from_file(name, input_shape, options)
    is_torch = ":" in name or name.startswith("timm/")
    return _from_torch(name, input_shape, options) if is_torch else spec.from_zoo(name, input_shape, options)


def _from_file(path: str, input_shape: Any, options: Options) -> Network:
    """A path, the format by its ending."""
    if path.lower().endswith((".onnx", ".pt2")):
        opened(path).close()  # what is not there is told before what reads it is missing
    if path.lower().endswith(".onnx"):
        return _from_onnx(path, input_shape, options)
    if path.lower().endswith(".pt2"):
        return _from_torch(path, input_shape, options)
    if path.lower().endswith(_STATES):
        raise FormatError(
            f"{path}: such a file holds weights, or code that would run; give the module that it belongs to, "
            "torch.jit.load(path) of TorchScript, or an export (.pt2, .onnx)"
        )
    return spec.from_file(Path(path), input_shape, options)


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):
        return False


def _is_torch(source: Any) -> bool:
    """Whether the source is PyTorch's, without importing it: who has such an object has imported it."""
    torch = sys.modules.get("torch")
    if torch is None:
        return False
    exported = sys.modules.get("torch.export")
    return isinstance(source, torch.nn.Module) or (
        exported is not None and isinstance(source, exported.ExportedProgram)
    )


def _is_onnx(source: Any) -> bool:
    """Whether the source is a ModelProto, without importing onnx: who has one has imported it."""
    onnx = sys.modules.get("onnx")
    return onnx is not None and isinstance(source, onnx.ModelProto)


def _from_onnx(source: Any, input_shape: Any, options: Options) -> Network:
    """An ONNX model, read first where it is a file."""
    require("onnx", "onnx", "an ONNX model")
    from fastrf.frontends import onnx as frontend

    name = source.graph.name or "model" if not isinstance(source, str) else Path(source).stem
    model = frontend.read(source) if isinstance(source, str) else source
    return frontend.to_network(model, input_shape, options, name=name)


def _stated(source: Any) -> Mapping[str, Sequence[Any]]:
    """Shapes that an ONNX file states for its inputs, with the batch."""
    from fastrf.frontends import onnx as frontend

    return frontend.stated(frontend.read(source) if isinstance(source, str | os.PathLike) else source)


def _names_torch(source: Any) -> bool:
    """Whether a text names a PyTorch model by its form, and nothing else bears the name."""
    if not isinstance(source, str) or source in zoo.names() or _is_file(source):
        return False
    return source.startswith("timm/") or (":" in source and not source.lower().endswith((".toml", ".json", ".onnx")))


def _module_sizes(source: Any, input_shape: Any, options: Options, *asked: Any) -> Any:
    """Sizes of a PyTorch module; the module and its shape where runs on symbols do not tell; what else there is."""
    torch = require("torch", "torch", "a PyTorch model")
    source, input_shape, name = _torch_source(source, input_shape, options)
    if not isinstance(source, torch.nn.Module):
        return source, input_shape
    try:
        from fastrf.frontends.torch import sizes as frontend
    except ImportError:  # a PyTorch whose symbols are others: read at some sizes
        return source, input_shape
    try:
        return frontend.module_sizes(source, name, input_shape, options, *asked)
    except frontend.UnfollowedError:
        return source, input_shape


def _torch_source(source: Any, input_shape: Any, options: Options) -> tuple[Any, Any, str]:
    """What a text names, with its own input shape where none is given, and what it is called."""
    from fastrf.frontends import torch as frontend

    name = type(source).__name__
    if isinstance(source, str) and source.startswith("timm/"):
        name = source
        source, stated = frontend.load_timm(source)
        input_shape = stated if input_shape is None else input_shape
    elif isinstance(source, str):
        is_file = source.lower().endswith(".pt2")
        name = Path(source).stem if is_file else source
        source = frontend.load_file(source, options.trust) if is_file else frontend.load_callable(source)
    return source, input_shape, name


def _from_torch(source: Any, input_shape: Any, options: Options) -> Network:
    """A PyTorch model, captured first where it is a module."""
    torch = require("torch", "torch", "a PyTorch model")
    from fastrf.frontends import torch as frontend

    source, input_shape, name = _torch_source(source, input_shape, options)
    if isinstance(source, torch.nn.Module):
        source = frontend.captured(source, input_shape, options)
    else:
        frontend.check_given(source, input_shape, options.values)
    return frontend.to_network(source, options, name=name)
