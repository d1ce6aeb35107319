"""Stores around the caches, which only compiled kernels have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from llvmlite import ir
from numba.extending import intrinsic

__all__ = ["stream"]


def _send(_: Any, source: Any, target: Any, __: Any, ___: Any) -> tuple[Any, Callable[..., Any]]:
    """Copy `source[i : i + 16]` to `target[k : k + 16]`, which is aligned to 16 bytes, around the caches.

    Memory that is only written is not read into a cache first, which halves what goes over the bus.
    """

    def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        vector = ir.VectorType(ir.IntType(64), 2).as_pointer()
        places = []
        for kind, array, at in zip(signature.args[:2], given[:2], given[2:], strict=True):
            data = context.make_array(kind)(context, builder, array).data
            places.append(builder.bitcast(builder.gep(data, [at]), vector))
        loaded = builder.load(places[0], align=1)
        stored = builder.store(loaded, places[1], align=16)
        stored.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
        return context.get_dummy_value()

    return numba.types.void(source, target, numba.intp, numba.intp), write


#: The function for compiled kernels; None where nothing is compiled.
stream: Any = None if numba.config.DISABLE_JIT else intrinsic(_send)  # type: ignore[attr-defined]
