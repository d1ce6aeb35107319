"""The effective receptive field of a PyTorch model with its own weights, from gradients, beside the exact one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from fastrf.erf.maps import Effective, theoretical_size
from fastrf.errors import FormatError, NetworkError, ShapeError, UnknownNodeError, UsageError, did_you_mean
from fastrf.queries.positions import all_or_given
from fastrf.system.extras import require

if TYPE_CHECKING:
    import torch

    from fastrf.field import ReceptiveField

__all__ = ["gradient_effective"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def gradient_effective(
    module: torch.nn.Module,
    node: str,
    input_shape: Sequence[int],
    positions: npt.ArrayLike | None = None,
    *,
    inputs: npt.ArrayLike | None = None,
    samples: int = 8,
    seed: int = 0,
    squared: bool = False,
    field: ReceptiveField | None = None,
) -> Effective:
    """How strongly a position of a trained network reacts to each pixel, averaged over inputs and positions.

    The size of the gradient of the sum of all channels at a position, added up over input channels (Luo et al. 2016);
    with `squared`, its square. `node` names a submodule, "" the module itself; its last call counts, and it must give
    a tensor `(batch, channels, *map)`. `input_shape` is without the batch. The average is over `inputs`
    (float[n, *input_shape]), by default `samples` of standard normal noise from `seed`, and over `positions` (int[n,
    axes]), each moved by the stride onto the first of them; by default the middle and its neighbours, onto the middle.
    What leaves the image is dropped. `field`, the exact field of the node, gives the theoretical size; without it that
    is the image's.

    The module runs in evaluation mode and is left as it was. Raises MissingExtraError without PyTorch,
    UnknownNodeError, PositionError, ShapeError, FormatError for inputs that are not finite numbers, NetworkError where
    the module fails, and UsageError.
    """
    torch = require("torch", "torch", "gradients")
    if not isinstance(module, torch.nn.Module):
        raise UsageError(f"a torch.nn.Module is needed, not {type(module).__name__}; use effective for a network")
    _check_node(module, node)
    images = _images(module, input_shape, inputs, samples, seed)
    with _evaluating(module), torch.enable_grad():
        output = _output(module, node, images)
        where = _wanted(positions, tuple(output.shape[2:]))
        spreads = (_spread(output, images, position, where[0], squared) for position in where)
        pixels, reference = tuple(images.shape[2:]), tuple(where[0].tolist())
        total = sum(spreads, np.zeros(pixels))
    weights = total / total.sum() if total.sum() > 0 else total
    theoretical = tuple(map(float, pixels)) if field is None else theoretical_size(field, reference)
    return Effective(node or type(module).__name__, reference if len(where) == 1 else None, weights, theoretical)


def _spread(output: Any, images: Any, position: IntArray, reference: IntArray, squared: bool) -> FloatArray:
    """The sizes of the gradients of one position, moved onto another."""
    chosen = output[(slice(None), slice(None), *position.tolist())].sum()
    (gradient,) = require("torch", "torch", "gradients").autograd.grad(
        chosen, images, retain_graph=True, allow_unused=True
    )
    if gradient is None:
        return np.zeros(images.shape[2:])
    sizes = (gradient.double() ** 2 if squared else gradient.double().abs()).sum(dim=(0, 1)).cpu().numpy()
    # back by so many steps of the position; what leaves the image is dropped
    steps = zip((position - reference).tolist(), sizes.shape, output.shape[2:], strict=True)
    return np.asarray(ndimage.shift(sizes, [-round(step * n / m) for step, n, m in steps], order=0))


def _check_node(module: torch.nn.Module, node: str) -> None:
    names = [name for name, _ in module.named_modules()]
    if node not in names:
        hint = did_you_mean(node, names, "module.named_modules() lists them")
        raise UnknownNodeError(f"{type(module).__name__} has no submodule {node!r}; {hint}")


def _images(
    module: torch.nn.Module, input_shape: Sequence[int], inputs: npt.ArrayLike | None, samples: int, seed: int
) -> Any:
    """The inputs as a leaf of the graph, in the type and place of the module's first parameter."""
    torch = require("torch", "torch", "gradients")
    shape = tuple(input_shape)
    if len(shape) < 2 or not all(isinstance(n, int) and n > 0 for n in shape):
        raise ShapeError(f"input_shape must be channels and sizes such as (3, 224, 224), not {input_shape!r}")
    if inputs is None:
        if not isinstance(samples, int) or samples < 1:
            raise UsageError(f"samples {samples!r} must be a positive integer")
        values = np.random.default_rng(seed).standard_normal((samples, *shape))
    else:
        try:
            values = np.asarray(inputs, np.float64)
        except (TypeError, ValueError):
            raise FormatError(f"inputs must be numbers of shape (n, {', '.join(map(str, shape))})") from None
        if values.shape[1:] != shape or not len(values):
            raise ShapeError(f"inputs of shape {values.shape} are not images of shape {shape}")
        if not np.isfinite(values).all():
            raise FormatError("inputs hold values that are not finite; leave them out")
    like = next(module.parameters(), torch.zeros(()))
    return torch.tensor(values, dtype=like.dtype, device=like.device).requires_grad_()


def _output(module: torch.nn.Module, node: str, images: torch.Tensor) -> Any:
    """What a submodule gives in its last call, before anything changes it in place."""
    seen: list[Any] = []

    def keep(*call: Any) -> None:
        seen[:] = [call[2].clone() if hasattr(call[2], "clone") else call[2]]

    handle = module.get_submodule(node).register_forward_hook(keep)
    try:
        module(images * 1)
    except Exception as error:
        first = " ".join(str(error).split())[:120]
        raise NetworkError(
            f"{type(module).__name__} fails on inputs of shape {tuple(images.shape)}: {type(error).__name__}: {first}"
        ) from error
    finally:
        handle.remove()
    if not seen:
        raise UnknownNodeError(f"submodule {node!r} is never called; name another")
    if not hasattr(seen[0], "requires_grad") or seen[0].ndim < 3:
        found = tuple(seen[0].shape) if hasattr(seen[0], "shape") else type(seen[0]).__name__
        raise ShapeError(f"submodule {node!r} gives {found}, not a tensor (batch, channels, *map); name another")
    if not seen[0].requires_grad:
        raise UsageError(f"submodule {node!r} has no gradient with respect to the input; name another")
    return seen[0]


def _wanted(positions: npt.ArrayLike | None, shape: tuple[int, ...]) -> IntArray:
    """int64[n, axes]: the given positions, or the middle first and then its neighbours."""
    if positions is not None:
        given = all_or_given(positions, shape)
        if not len(given):
            raise UsageError("positions are empty; give at least one")
        return given
    middle = np.array([n // 2 for n in shape])
    steps = np.indices([3] * len(shape)).reshape(len(shape), -1).T - 1
    steps = steps[np.argsort(np.abs(steps).sum(axis=1), kind="stable")]
    around = middle + steps
    return np.asarray(around[((around >= 0) & (around < shape)).all(axis=1)], np.int64)


@contextlib.contextmanager
def _evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; every submodule gets its own mode back."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
