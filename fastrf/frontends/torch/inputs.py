"""What a model's forward is called with: example tensors for shapes, values for arguments that are no tensors."""

from __future__ import annotations

import inspect
import itertools
import math
import numbers
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.utils._pytree as pytree

from fastrf.errors import ShapeError, a_kind
from fastrf.frontends.options import plain_shape

__all__ = ["Inputs", "signature_of"]

#: Examples of more elements are one number, repeated: nobody looks at them.
_LARGE = 1 << 24


class Inputs(NamedTuple):
    """Arguments by position and by name.

    `made` are the names of tensors that were made from a shape alone, `arrays` of those that were NumPy's.
    """

    arguments: tuple[Any, ...]
    named: dict[str, Any]
    made: tuple[str, ...] = ()
    arrays: tuple[str, ...] = ()

    @classmethod
    def of(cls, model: torch.nn.Module, given: Any, values: Mapping[str, Any]) -> Inputs:
        """The arguments that `input_shape` and `values` stand for. Raises ShapeError for what does not fit forward."""
        if given is None:
            raise ShapeError(f"input_shape is missing; give it as (channels, height, width) for {_signature(model)}")
        constants = {name: _tensor(value) for name, value in values.items()}
        given = {n: _shape_of(item) for n, item in given.items()} if isinstance(given, Mapping) else _shape_of(given)
        several = given if isinstance(given, Sequence) else (given,)
        names = list(signature_of(model).parameters) or ["input"]
        if isinstance(given, list | tuple) and any(isinstance(item, list | tuple) for item in given):
            told = ", ".join(f"{name!r}: {item}" for name, item in zip(names, given, strict=False))
            raise ShapeError(f"the shapes of several inputs are a mapping by argument name, such as {{{told}}}")
        if isinstance(given, Mapping):
            named = {name: _example(model, item) if _is_shape(item) else _tensor(item) for name, item in given.items()}
            made = tuple(name for name, item in given.items() if _is_shape(item))
            found = cls((), {**named, **constants}, made)
        elif any(isinstance(item, torch.Tensor | np.ndarray) for item in several):
            found = cls(tuple(map(_tensor, several)), constants)
        else:
            found = cls((_example(model, given),), constants, (names[0],))
        found._check(model)
        pairs = given.items() if isinstance(given, Mapping) else zip(names, several, strict=False)
        arrays = {name: item for name, item in pairs if isinstance(item, np.ndarray)}
        real = [name for name, item in arrays.items() if item.dtype.kind == "f"]
        return found._replace(arrays=tuple(arrays))._in_type_of(model, real)

    def _check(self, model: torch.nn.Module) -> None:
        """That forward takes these arguments and misses none."""
        parameters = signature_of(model).parameters
        anything = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        unknown = [name for name in self.named if name not in parameters and not anything]
        if unknown:
            raise ShapeError(
                f"input {unknown[0]!r} is not an argument of {type(model).__name__}.forward; "
                f"it takes {', '.join(parameters)}"
            )
        try:
            signature_of(model).bind(*self.arguments, **self.named)
        except TypeError as error:
            raise ShapeError(
                f"{_signature(model)}: {error}; give input_shape as a mapping by argument name, "
                "and values={name: value} for what is no tensor"
            ) from error

    def by_name(self, model: torch.nn.Module, constants: Iterable[str]) -> dict[str, torch.Tensor]:
        """The tensors that are inputs of the model, by the names of its arguments; those within containers numbered."""
        parameters = [*signature_of(model).parameters, *("input" for _ in self.arguments)]
        found: dict[str, torch.Tensor] = {}
        for name, given in [*zip(parameters, self.arguments, strict=False), *self.named.items()]:
            leaves = [] if name in constants else pytree.tree_flatten_with_path(given)[0]
            for path, leaf in leaves:
                label = "_".join([name, *(str(getattr(key, "key", getattr(key, "idx", key))) for key in path)])
                if isinstance(leaf, torch.Tensor):
                    found[label] = leaf
        return found

    def without_batch(self, model: torch.nn.Module, least: int = 1, most: int | None = None) -> Inputs | None:
        """The same with leading numbers of shapes taken for batches; None where there are none, or out of range."""

        def fits(item: Any) -> bool:
            return item.ndim > 2 and least <= item.shape[1] and (most is None or item.shape[1] <= most)

        made = [item for name, item in self._by_argument(model) if name in self.made]
        if not any(map(fits, made)):
            return None

        def shorter(name: str, item: Any) -> Any:
            return item[0] if name in self.made and fits(item) else item

        return self._changed(model, shorter)

    def unbatched(self, model: torch.nn.Module) -> Inputs:
        """The same without the batch axis of tensors that were made from a shape."""
        return self._changed(model, lambda name, item: item[0] if name in self.made and item.ndim > 1 else item)

    def run(self, model: torch.nn.Module) -> Any:
        """What the model returns."""
        return model(*self.arguments, **self.named)

    def whole_numbers(self, model: torch.nn.Module, most: int = 99) -> Inputs:
        """The same with whole numbers in tensors of no type of their own that have at most so many axes."""

        def whole(name: str, item: Any) -> Any:
            free = name in (*self.made, *self.arrays) and isinstance(item, torch.Tensor)
            return item.long() if free and item.is_floating_point() and item.ndim <= most else item

        return self._changed(model, whole)

    def real_numbers(self, model: torch.nn.Module) -> Iterator[Inputs]:
        """The same with arrays of whole numbers, such as pictures, in the type of the model.

        First only those of more than two axes, since others may be ids; then all.
        """
        arrays = [(name, item) for name, item in self._by_argument(model) if name in self.arrays]
        whole = [(n, t.ndim) for n, t in arrays if not t.is_floating_point() and not t.is_complex()]
        for names in dict.fromkeys(tuple(n for n, axes in whole if axes > least) for least in (2, -1)):
            if names:
                yield self._in_type_of(model, names)

    def _in_type_of(self, model: torch.nn.Module, names: Sequence[str]) -> Inputs:
        kind = _like(model).dtype
        return self._changed(model, lambda name, item: item.to(kind) if name in names else item)

    @property
    def is_large(self) -> bool:
        """Whether an example is one number, repeated, so that nobody should work with all of it."""
        tensors = [*self.arguments, *self.named.values()]
        return any(isinstance(t, torch.Tensor) and t.numel() > _LARGE and 0 in t.stride() for t in tensors)

    def has_shapes_within(self) -> bool:
        """Whether a list or mapping holds what may be meant as shapes."""
        given = [item for item in (*self.arguments, *self.named.values()) if isinstance(item, dict | list | tuple)]
        within = [part for item in given for part in (item.values() if isinstance(item, dict) else item)]
        return any(isinstance(part, dict | list | tuple) and _numbers_only(part) for part in within)

    def _by_argument(self, model: torch.nn.Module) -> list[tuple[str, Any]]:
        names = [*signature_of(model).parameters, *[""] * len(self.arguments)]
        return [*zip(names, self.arguments, strict=False), *self.named.items()]

    def _changed(self, model: torch.nn.Module, change: Callable[[str, Any], Any]) -> Inputs:
        found = [change(name, item) for name, item in self._by_argument(model)]
        n = len(self.arguments)
        return self._replace(arguments=tuple(found[:n]), named=dict(zip(self.named, found[n:], strict=True)))

    def __str__(self) -> str:
        """Shapes of tensors, and values of all else."""
        return ", ".join([*map(_told, self.arguments), *(f"{name}={_told(item)}" for name, item in self.named.items())])


def signature_of(model: torch.nn.Module) -> inspect.Signature:
    """What a module's forward takes; that of TorchScript says so in a schema, that of a builtin not at all."""
    kind = inspect.Parameter
    try:
        return inspect.signature(model.forward)
    except ValueError:
        schema = getattr(model.forward, "schema", None)
    if schema is None:
        return inspect.Signature([kind("input", kind.VAR_POSITIONAL), kind("named", kind.VAR_KEYWORD)])
    defaults = {a.name: a.default_value if a.has_default_value() else kind.empty for a in schema.arguments[1:]}
    names = [(re.sub(r"\W", "_", name), default) for name, default in defaults.items()]
    return inspect.Signature([kind(name, kind.POSITIONAL_OR_KEYWORD, default=default) for name, default in names])


def _told(item: Any) -> str:
    return str(tuple(item.shape)) if isinstance(item, torch.Tensor) else repr(item)[:40]


def _signature(model: torch.nn.Module) -> str:
    return f"{type(model).__name__}({', '.join(signature_of(model).parameters)})"


def _shape_of(given: Any) -> Any:
    """A shape in an array as a tuple; a vector of few whole numbers is no example, which would have a batch."""
    is_shape = isinstance(given, np.ndarray) and given.ndim == 1 and given.dtype.kind in "iu" and given.size <= 5
    return tuple(given.tolist()) if is_shape else given


def _is_shape(item: Any) -> bool:
    return isinstance(item, list | tuple) and not any(isinstance(n, torch.Tensor | np.ndarray | str) for n in item)


def _numbers_only(item: Any) -> bool:
    leaves = pytree.tree_leaves(item)
    return bool(leaves) and all(isinstance(n, numbers.Integral) and not isinstance(n, bool) for n in leaves)


def _tensor(item: Any) -> Any:
    return torch.from_numpy(item) if isinstance(item, np.ndarray) else item


def _example(model: torch.nn.Module, shape: Any) -> torch.Tensor:
    """A batch of one, of the module's own dtype and device."""
    shape = plain_shape(shape)
    whole = _is_shape(shape) and all(isinstance(n, numbers.Integral) and not isinstance(n, bool) for n in shape)
    if not whole or min(shape, default=1) < 1:
        told = a_kind(shape) if isinstance(shape, Iterator) else repr(str(shape)[:60])
        nested = isinstance(shape, list | tuple) and any(isinstance(n, dict | list | tuple) for n in shape)
        remedy = "; give tensors in place of the shapes within lists and mappings" if nested else ""
        raise ShapeError(f"input_shape must be positive integers such as (3, 224, 224), not {told}{remedy}")
    like, full = _like(model), (1, *map(int, shape))
    if math.prod(full) > _LARGE:
        return torch.zeros((), dtype=like.dtype, device=like.device).expand(full)
    return torch.zeros(full, dtype=like.dtype, device=like.device)


def _like(model: torch.nn.Module) -> torch.Tensor:
    """A tensor of the type and on the device that a model computes with."""
    tensors = (t for t in itertools.chain(model.parameters(), model.buffers()) if t.is_floating_point())
    return next(tensors, torch.empty(0))
