"""What runs a tile: PyTorch modules, onnxruntime sessions and plain functions, as one function of arrays.

Frameworks are recognised only where the user has imported them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fastrf.errors import ShapeError, UsageError, a_kind
from fastrf.tiling.grids import Grid
from fastrf.tiling.tiles import Tile

__all__ = ["Runner", "as_function", "is_tensor", "run_tile", "to_numpy"]

#: Types of ONNX that are no names of NumPy.
_TYPES = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16"}

#: A tile with the batch, or without one where the image has none, to the outputs in order.
Runner = Callable[[Any], Sequence[Any]]


def as_function(network: Any, names: Sequence[str], batched: bool) -> Runner:
    """A network as a function from a tile to its outputs, in the order of `names`; tiles have a batch or have not.

    Modules of PyTorch and sessions of onnxruntime get a batch of one where there is none. Raises UsageError for what
    cannot be called, and for modules whose answer depends on what else is in the batch.
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(network, torch.nn.Module):
        _require_eval(torch, network)
        run, alone = _of_module(torch, network), True
    elif hasattr(network, "get_inputs") and hasattr(network, "run"):
        run, alone = _of_session(network), True
    elif callable(network):
        run, alone = _plain(torch, network), False
    else:
        raise UsageError(f"{a_kind(network)} cannot run a tile; give a function, a module or an onnxruntime session")

    def outputs(tile: Any) -> Sequence[Any]:
        given = run(tile[None] if alone and not batched else tile)
        found = _in_order(given, names)
        return [_alone(value) for value in found] if alone and not batched else found

    return outputs


def run_tile(plan: Grid, function: Runner, pixels: Any, tile: Tile, batch: tuple[int, ...]) -> list[Any]:
    """What to keep of every output of one tile. Raises ShapeError for outputs of another shape than planned."""
    try:
        given = function(pixels)
    except Exception as error:
        error.add_note(f"tile {tile.index}, pixels {tile.read}")
        raise
    kept = []
    for output, part, value in zip(plan.outputs, tile.parts, given, strict=True):
        expected = (*batch, *output.of_tile(tile, plan.axes))
        if tuple(value.shape) != expected:
            told = f"tile {tile.index}, pixels {tile.read}: {output.name!r} has shape {tuple(value.shape)}"
            remedy = "is this the network that was analysed, and are no sizes fixed in it?"
            raise ShapeError(f"{told} where {expected} was planned; {remedy}")
        kept.append(value[output.slices(part.keep, batch)])
    return kept


def is_tensor(value: Any) -> bool:
    """Whether a value is a tensor of PyTorch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def to_numpy(value: Any) -> Any:
    """A value as an array of NumPy."""
    return value.detach().cpu().numpy() if is_tensor(value) else np.asarray(value)


def _require_eval(torch: Any, module: Any) -> None:
    """Raises UsageError for batch norm or dropout that trains."""
    kinds = torch.nn.modules.batchnorm._NormBase, torch.nn.modules.dropout._DropoutNd
    for name, part in module.named_modules():
        if part.training and isinstance(part, kinds):
            raise UsageError(f"{name or 'the module'!r} is training, so that tiles would differ; call .eval() first")


def _of_module(torch: Any, module: Any) -> Callable[[Any], Any]:
    """A module on its own device; where there is no tensor, neither is the answer one."""
    device = next((value.device for value in (*module.parameters(), *module.buffers())), None)
    dtype = next((value.dtype for value in module.parameters()), None)

    def run(tile: Any) -> Any:
        given = tile if is_tensor(tile) else torch.from_numpy(np.ascontiguousarray(tile))
        with torch.no_grad():
            try:
                made = module(given if device is None else given.to(device))
            except (RuntimeError, TypeError) as error:
                if dtype is None or given.dtype == dtype:
                    raise
                weights = str(dtype).removeprefix("torch.")
                told = f"the image is {str(given.dtype).removeprefix('torch.')}, the module's weights are {weights}"
                raise UsageError(f"{told}; give the image as {weights}") from error
        return made if is_tensor(tile) else _each(to_numpy, made)

    return run


def _of_session(session: Any) -> Callable[[Any], Any]:
    """A session of onnxruntime that has one input."""
    inputs = session.get_inputs()
    if len(inputs) != 1:
        names = ", ".join(one.name for one in inputs)
        raise UsageError(f"the session has inputs {names}; give a function of one that calls session.run")

    wanted = _TYPES.get(getattr(inputs[0], "type", ""))

    def run(tile: Any) -> Any:
        fixed, dtype = inputs[0].shape, str(tile.dtype).removeprefix("torch.")
        if wanted not in (None, dtype):
            raise UsageError(f"the image is {dtype}, the session takes {wanted}; give the image as {wanted}")
        if any(isinstance(n, int) and n != m for n, m in zip(fixed, tile.shape, strict=False)):
            told = f"the session takes {'x'.join(map(str, fixed))}, tiles are {'x'.join(map(str, tile.shape))}"
            raise ShapeError(f"{told}; plan tiles of that size, or export with dynamic axes")
        given = session.run(None, {inputs[0].name: np.ascontiguousarray(to_numpy(tile))})
        return [sys.modules["torch"].from_numpy(one).to(tile.device) for one in given] if is_tensor(tile) else given

    return run


def _plain(torch: Any, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function of the user's; gradients of tensors are not kept."""

    def run(tile: Any) -> Any:
        if not is_tensor(tile):
            return _each(to_numpy, function(tile))
        with torch.no_grad():
            return function(tile)

    return run


def _each(change: Callable[[Any], Any], given: Any) -> Any:
    """A tensor, or those in sequences and mappings, changed."""
    if isinstance(given, Mapping):
        return {key: _each(change, value) for key, value in given.items()}
    if isinstance(given, list | tuple):
        return [_each(change, value) for value in given]
    return change(given)


def _in_order(given: Any, names: Sequence[str]) -> Sequence[Any]:
    """The outputs by the names of a plan. Raises ShapeError for other names, or another number of them."""
    if isinstance(given, Mapping):
        keys = {str(key): key for key in given}
        found = [keys.get(name, keys.get(name.removeprefix("out."))) for name in names]
        if len(given) > 1 and None in found:
            told = f"the network gives {', '.join(keys)}, the plan is of {', '.join(names)}"
            raise ShapeError(f"{told}; name outputs= so in the plan, or run a function that returns a tuple of those")
        return [given[key] for key in found] if None not in found else list(_flat(given))
    flat = list(_flat(given))
    if len(flat) != len(names):
        told = f"the network gives {len(flat)} outputs, the plan is of {len(names)} ({', '.join(names)})"
        raise ShapeError(f"{told}; plan outputs= as they are returned, or run a function that returns those")
    return flat


def _flat(given: Any) -> Any:
    if isinstance(given, Mapping):
        given = list(given.values())
    if isinstance(given, list | tuple):
        for value in given:
            yield from _flat(value)
    else:
        yield given


def _alone(value: Any) -> Any:
    """The one of a batch."""
    if not value.ndim or value.shape[0] != 1:
        raise ShapeError(f"the network gives shape {tuple(value.shape)} for a batch of 1; give the image with a batch")
    return value[0]
