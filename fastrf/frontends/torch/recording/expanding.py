"""Operators that a recording run takes apart: into others of which there are rules, and that write and view plainly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from fastrf.frontends.torch.recording.packed import QUANTIZED
from fastrf.frontends.torch.recording.tensors import Unfollowed

__all__ = ["DENSE", "EXPANDED"]

_Tensors = Sequence[torch.Tensor]


def _broadcast_tensors(tensors: _Tensors) -> list[torch.Tensor]:
    shape = torch.broadcast_shapes(*(tensor.shape for tensor in tensors))  # type: ignore[no-untyped-call]
    return [tensor.expand(shape) for tensor in tensors]


def _meshgrid(tensors: _Tensors, *, indexing: str = "ij") -> list[torch.Tensor]:
    if indexing == "xy" and len(tensors) > 1:
        second, first, *rest = _meshgrid([tensors[1], tensors[0], *tensors[2:]])
        return [tensor.transpose(0, 1) for tensor in (first, second, *rest)]
    shape, count = [tensor.numel() for tensor in tensors], len(tensors)
    return [
        tensor.reshape([-1 if axis == k else 1 for axis in range(count)]).expand(shape)
        for k, tensor in enumerate(tensors)
    ]


def _put(x: torch.Tensor, index: torch.Tensor, source: torch.Tensor, accumulate: bool = False) -> torch.Tensor:
    flat = x.reshape(-1)
    return flat.index_put([index.reshape(-1)], source.reshape(-1), accumulate).reshape(x.shape)


def _diagonal_scatter(x: torch.Tensor, source: torch.Tensor, *where: int) -> torch.Tensor:
    result = x.clone()
    result.diagonal(*where).copy_(source)
    return result


def _lengths(batch_sizes: torch.Tensor) -> list[int]:
    """How long each of several packed sequences is, longest first."""
    sizes = batch_sizes.tolist()
    return [sum(size > k for size in sizes) for k in range(max(sizes, default=0))]


def _places(lengths: Sequence[int]) -> list[torch.Tensor]:
    """Of sequences side by side, which are packed: the time and the sequence of each packed row."""
    pairs = [(t, b) for t in range(max(lengths, default=0)) for b, length in enumerate(lengths) if t < length]
    return [torch.tensor([pair[k] for pair in pairs], dtype=torch.long) for k in range(2)]


def _pack(x: torch.Tensor, lengths: torch.Tensor, batch_first: bool) -> tuple[torch.Tensor, torch.Tensor]:
    told: list[int] = lengths.tolist()
    if told != sorted(told, reverse=True) or len(told) != x.shape[0 if batch_first else 1] or min(told) < 1:
        raise Unfollowed(f"sequences of lengths {told} are packed")
    sizes = [sum(length > t for length in told) for t in range(max(told))]
    times, sequences = _places(told)
    return (x.transpose(0, 1) if batch_first else x)[times, sequences], torch.tensor(sizes)


def _unpack(
    data: torch.Tensor,
    batch_sizes: torch.Tensor,
    batch_first: bool,
    padding_value: float,
    total_length: int = -1,
) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = _lengths(batch_sizes)
    shape = (max(total_length, len(batch_sizes)), len(lengths), *data.shape[1:])
    result = data.new_full(shape, padding_value)
    result[tuple(_places(lengths))] = data
    return result.transpose(0, 1) if batch_first else result, torch.tensor(lengths)


def _of_packed(operator: Any, several: bool) -> Callable[..., Any]:
    """A recurrent layer on packed sequences: each sequence by itself, of its own length."""

    def layer(data: torch.Tensor, batch_sizes: torch.Tensor, hx: Any, *rest: Any) -> tuple[torch.Tensor, ...]:
        lengths, results = _lengths(batch_sizes), []
        times, sequences = _places(lengths)
        for k, _ in enumerate(lengths):
            own = data[(sequences == k).nonzero()[:, 0]].unsqueeze(1)
            state = [h[:, k : k + 1] for h in hx] if several else hx[:, k : k + 1]
            results.append(operator(own, state, *rest, False))
        rows = [int(t) + sum(lengths[: int(b)]) for t, b in zip(times, sequences, strict=True)]
        outputs, *states = zip(*results, strict=True)
        joined = torch.cat([output[:, 0] for output in outputs])[torch.tensor(rows, dtype=torch.long)]
        return joined, *(torch.cat(state, 1) for state in states)

    return layer


_ATEN = torch.ops.aten

#: Operators by their overloads, each with a function of the same arguments.
EXPANDED: dict[Any, Callable[..., Any]] = {
    _ATEN.broadcast_tensors.default: _broadcast_tensors,
    _ATEN.meshgrid.default: _meshgrid,
    _ATEN.meshgrid.indexing: _meshgrid,
    **{
        getattr(_ATEN, f"atleast_{n}d").Sequence: lambda tensors, n=n: [
            getattr(torch, f"atleast_{n}d")(t) for t in tensors
        ]
        for n in (1, 2, 3)
    },
    _ATEN.expand_as.default: lambda x, other: x.expand(other.shape),
    _ATEN.view_as.default: lambda x, other: x.view(other.shape),
    _ATEN.reshape_as.default: lambda x, other: x.reshape(other.shape),
    _ATEN.type_as.default: lambda x, other: x.to(other.dtype),
    _ATEN.put.default: _put,
    _ATEN.put_.default: lambda x, *given: x.copy_(_put(x, *given)),
    _ATEN.diagonal_scatter.default: _diagonal_scatter,
    _ATEN._pack_padded_sequence.default: _pack,
    _ATEN._pad_packed_sequence.default: _unpack,
    _ATEN.lstm.data: _of_packed(_ATEN.lstm.input, several=True),
    **{
        getattr(_ATEN, n).data: _of_packed(getattr(_ATEN, n).input, several=False)
        for n in ("gru", "rnn_tanh", "rnn_relu")
    },
    **QUANTIZED,
}

#: Products of sparse matrices, as those of dense ones.
DENSE: dict[Any, Any] = {_ATEN._sparse_mm.default: _ATEN.mm.default, _ATEN._sparse_addmm.default: _ATEN.addmm.default}
