"""What operators make of tensors without data: worked out once, and remembered for arguments that look the same.

What results look like is told by the kernels of torch, which take long for that. Of torch's own operators it is
remembered in later runs, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from fastrf.frontends.torch.names import NORMS, OF_ONE, OF_SEVERAL, SOFTMAXES, STORED, SUMS, plain_name
from fastrf.frontends.torch.recording.expanding import EXPANDED
from fastrf.frontends.torch.recording.layouts import LAID_OUT, all_plain, by_ones
from fastrf.frontends.torch.recording.tensors import storage_of
from fastrf.frontends.torch.recording.writing import functional_form

__all__ = ["Found", "Operator", "Place", "Results", "Unkeyed", "operator_of", "place_of", "worked_out"]

#: Operators whose results never share memory with their arguments.
_FRESH = (SUMS | OF_ONE | OF_SEVERAL | NORMS | SOFTMAXES | {"cat", "stack"}) - {"einsum", "imag"}
#: Operators of which values decide how large the result is, beside those that torch marks so.
_SELECTING = frozenset(("torchvision::nms", "nonzero_numpy", "argwhere", "masked_select"))
#: `where` and `split` with what only values tell.
_PLACES = frozenset((torch.ops.aten.where.default, torch.ops.aten.tensor_split.tensor_indices_or_sections))
#: As many results are remembered.
_MOST = 20_000

#: Size, strides, offset and type of a tensor; None where these do not tell all of it.
Place = tuple[Any, ...] | None


class Operator:
    """What a run asks of an operator, looked up once."""

    def __init__(self, func: Any) -> None:
        schema, tags = func._schema, func.tags
        self.func = func
        self.written: str = schema.name
        self.name, self.own = plain_name(schema.name), schema.name.rpartition("::")[2]
        self.expanded, self.mutable = func in EXPANDED, schema.is_mutable
        self.fresh, self.laid_out = self.name in _FRESH, self.name in LAID_OUT
        self.drawn = torch.Tag.nondeterministic_seeded in tags or schema.name in STORED
        self.drops_out = "dropout" in schema.name
        selecting = torch.Tag.dynamic_output_shape in tags or self.name in _SELECTING or func in _PLACES
        self.selecting = selecting and self.name not in ("index", "index_put")
        self.resizing = torch.Tag.inplace_view in tags
        self.takes_device = any(argument.name == "device" for argument in schema.arguments)
        self.namespace = func.namespace
        writes = [a.alias_info is not None and a.alias_info.is_write for a in schema.arguments]
        self._written = [(k, schema.arguments[k].name) for k, one in enumerate(writes) if one]
        self._form: Any = None

    @property
    def form(self) -> Any:
        """The operator that makes what this one writes. Raises Unfollowed."""
        if self._form is None:
            self._form = functional_form(self.func)
        return self._form

    def targets(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """The arguments that it writes into."""
        given = [args[k] if k < len(args) else kwargs.get(name) for k, name in self._written]
        return [one for target in given for one in (target if isinstance(target, list | tuple) else [target])]

    def draws(self, args: tuple[Any, ...]) -> bool:
        """Whether it draws numbers, as dropout does in training alone, or makes weights of what is stored."""
        return self.drawn and not self.passes(args)

    def passes(self, args: tuple[Any, ...]) -> bool:
        """Whether it is a dropout that is not in training."""
        return self.drops_out and args[2:] == (False,)


_OPERATORS: dict[int, Operator] = {}


def operator_of(func: Any) -> Operator:
    """What is known of an overload, which stays alive and so is told by its place in memory."""
    found = _OPERATORS.get(id(func))
    if found is None:
        found = _OPERATORS[id(func)] = Operator(func)
    return found


class _Like(NamedTuple):
    """How one result lies in its memory, and whether that is the first argument's."""

    place: tuple[Any, ...]
    views: bool


class Found(NamedTuple):
    """What an operator makes: `value` without data, `places` of it and where that is one of several, of each.

    `same` says whether it may be one of the arguments, `shares` whether it may share their memory, and `plainly`
    whether they all lie plainly in memory.
    """

    value: Any
    places: Any
    same: bool
    shares: bool
    plainly: bool


def place_of(meta: torch.Tensor) -> Place:
    """How a tensor lies in its memory, where no bit says that it is another one."""
    if meta.is_conj() or meta.is_neg():
        return None
    return meta.size(), meta.stride(), meta.storage_offset(), meta.dtype


class Results:
    """The results that a run asks for."""

    def __init__(self) -> None:
        self._own: dict[Any, Any] = {}  # of operators of others, which they may define anew before the next run

    def remembered(self, operator: Operator, key: Any, first: torch.Tensor | None) -> Found | None:
        """A result for a key, in new memory or in that of the first argument."""
        found = (_REMEMBERED if operator.namespace == "aten" else self._own).get(key)
        if found is None:
            return None
        likes, kind, plainly = found
        if kind is None:
            return Found(_made(likes, first), likes.place, False, likes.views, plainly)
        values = kind(like if like is None else _made(like, first) for like in likes)
        return Found(values, [like and like.place for like in likes], False, any(x and x.views for x in likes), plainly)

    def noted(self, operator: Operator, key: Any, value: Any, metas: Sequence[torch.Tensor]) -> Found:
        """A result that was worked out, remembered where the key tells all of it."""
        plainly = not operator.laid_out or all_plain(metas)
        several = isinstance(value, list | tuple)
        likes = [self._like(operator, one, metas) for one in (value if several else [value])]
        if key is not None and _Unlike not in likes:
            store = _REMEMBERED if operator.namespace == "aten" else self._own
            if len(store) >= _MOST:
                store.clear()
            store[key] = (likes, type(value), plainly) if several else (likes[0], None, plainly)
        places = [place_of(one) if isinstance(one, torch.Tensor) else None for one in (value if several else [value])]
        return Found(value, places if several else places[0], True, not operator.fresh, plainly)

    @staticmethod
    def _like(operator: Operator, value: Any, metas: Sequence[torch.Tensor]) -> Any:
        if value is None:
            return None
        place = place_of(value) if isinstance(value, torch.Tensor) else None
        if place is None or any(value is meta for meta in metas):
            return _Unlike
        memory = None if operator.fresh else storage_of(value)
        shared = [meta for meta in metas if memory is not None and storage_of(meta) == memory]
        first = len(shared) == 1 and shared[0] is metas[0] and metas[0].dtype == value.dtype
        if (shared and not first) or (not shared and value.storage_offset()):
            return _Unlike
        return _Like(place, first)


class Unkeyed(Exception):  # noqa: N818  (nothing is wrong)
    """An argument by which nothing is remembered."""


class _Unlike:
    """A result of which a key does not tell all."""


#: What operators of torch make, by their arguments.
_REMEMBERED: dict[Any, Any] = {}


def _made(like: _Like, first: torch.Tensor | None) -> torch.Tensor:
    size, stride, offset, dtype = like.place
    if like.views:
        assert first is not None
        return first.as_strided(size, stride, offset)
    return torch.empty_strided(size, stride, dtype=dtype, device="meta")


def worked_out(func: Any, args: Any, kwargs: Any) -> Any:
    """The result on tensors without data."""
    try:
        return func(*args, **kwargs)
    except NotImplementedError:
        return by_ones(func, args, kwargs)
