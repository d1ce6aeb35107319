"""Random networks against brute force, and the laws of nominal numbers.

A case is a random network of every operator, whose exact masks are compared with the brute force of tests/reference and
whose nominal numbers must hold for every position that no border cuts; or a network at two sizes, turned, and with its
operands swapped (see `scaled`), whose nominal numbers must be the same. A fault is printed with the spec that shows it.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import math
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

import fastrf
from fastrf.engine.nominal import bounds
from tests import reference
from tests.fuzz.scaled import Scaled
from tests.strategies import random_spec

#: Operators that read inside the axis what lies beyond its end, so that a crop before them hides a border.
WRAPPING = ("roll", "resize", "repeat")
#: Operators that put constants in the place of single elements: what reads those sees less than others, as at a border.
HIDING = ("keep", "scatter")
COMMUTATIVE = ("add", "mul", "maximum", "minimum")


class FaultError(Exception):
    """What a case shows to be wrong."""


def values_of(field: fastrf.ReceptiveField) -> list[list[float]]:
    """Per pixel axis: smallest and largest size, stride, and start and padding unless they count from the far end."""
    rows = zip(field.size_range, field.stride, field.start, field.padding, strict=True)
    return [[*sizes, stride, *((start, padding) if stride > 0 else (0, 0))] for sizes, stride, start, padding in rows]


def same(one: Any, other: Any) -> bool:
    """Whether two tables of numbers agree; unknown is equal to unknown."""
    a, b = np.array(one, float), np.array(other, float)
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=0, atol=1e-9, equal_nan=True))


def check_exact(spec: dict[str, Any], wrt: str, analysis: fastrf.Analysis) -> None:
    """Every neuron of every node."""
    for name, truth in reference.propagate(spec, wrt).items():
        field = analysis[name]
        dense = field.to_csr(channels=True).toarray().reshape((*field.shape, *field.input_shape))
        if not np.array_equal(dense, truth):
            raise FaultError(f"{name} wrt {wrt}: the mask differs from brute force")


def check_nominal(field: fastrf.ReceptiveField, layers: list[dict[str, Any]]) -> None:
    """What nominal numbers say of one node of a network of these layers."""
    n = len(field.pixel_shape)
    members = (field.size, field.stride, field.start, field.padding, field.size_range, field.irregular)
    if any(len(member) != n for member in members):
        raise FaultError(f"{field.name}: {members} are not of {n} pixel axes")
    if field.position_shape:
        field.halo()
    if not (math.isnan(field.clipped_share) or 0 <= field.clipped_share <= 1):
        raise FaultError(f"{field.name}: clipped_share {field.clipped_share}")
    for axis in range(n):
        unknown = math.isnan(field.size[axis]) or (math.isnan(field.stride[axis]) and field.size[axis] > 0)
        if unknown and not field.irregular[axis]:
            raise FaultError(f"{field.name}: axis {axis} is unknown and does not say why")
    wraps = any(layer["op"] in WRAPPING or _inward(layer) for layer in layers)
    if not wraps and 0 not in field.position_shape:
        _check_positions(field, hides=any(layer["op"] in HIDING for layer in layers))


def _check_positions(field: fastrf.ReceptiveField, *, hides: bool) -> None:
    """Whether the exact box of every position that no border cuts lies in its nominal one, and stays as that does."""
    share = field.clipped_share
    if not math.isnan(share) and not math.isclose(float(field.clipped().mean()), share, abs_tol=1e-9):
        raise FaultError(f"{field.name}: clipped_share {field.clipped_share} of {field.clipped().mean()}")
    boxes, free = field.boxes(), ~field.clipped() & (field.areas() > 0)
    covered = np.zeros(field.position_shape, bool)
    for piece in field.nominal.pieces:
        place = tuple(slice(a, a + m) for a, m in zip(piece.offsets, piece.lengths, strict=True))
        covered[place] = True
        for axis in range(len(field.pixel_shape)):
            low, high = (np.broadcast_to(t, piece.sizes).reshape(piece.lengths) for t in bounds(piece, axis))
            box, inside = boxes[place][..., axis, :], free[place]
            if ((box[..., 0] < low) | (box[..., 1] > high))[inside].any():
                raise FaultError(f"{field.name}: a box on axis {axis} reaches out of the nominal one")
    for axis in range(len(field.pixel_shape)):
        seen, still = boxes[free][:, axis], math.isinf(field.stride[axis]) and math.isfinite(field.size[axis])
        if still and not hides and (seen != seen[:1]).any():  # cut on one axis, a window may lose taps on any other
            raise FaultError(f"{field.name}: stride {field.stride} where boxes move on axis {axis}")
    if (field.areas()[~covered] > 0).any():
        raise FaultError(f"{field.name}: positions outside the nominal field read something")


def swapped(spec: dict[str, Any]) -> dict[str, Any]:
    """The network with the operands of every commutative operator in the other order."""
    layers = [
        {**layer, "inputs": layer["inputs"][::-1]}
        if layer["op"] in COMMUTATIVE and isinstance(layer.get("inputs"), list)
        else layer
        for layer in spec["layers"]
    ]
    return {**spec, "layers": layers}


def random_case(seed: int) -> dict[str, Any]:
    """Check a random network; the spec, raising FaultError with it where it is wrong."""
    rng = np.random.default_rng(seed)
    spec = random_spec(rng, layers=int(rng.integers(2, 9)), max_elements=300)
    with reported(spec):
        for wrt in reference.input_shapes(spec):
            analysis, other = fastrf.analyze(spec, wrt=wrt), fastrf.analyze(swapped(spec), wrt=wrt)
            check_exact(spec, wrt, analysis)
            for name in analysis:
                check_nominal(analysis[name], spec["layers"])
                alike = analysis[name].channel_axis == other[name].channel_axis
                if not (alike and same(values_of(analysis[name]), values_of(other[name]))):
                    raise FaultError(f"{name} wrt {wrt}: {values_of(analysis[name])}, swapped {values_of(other[name])}")
    return spec


def _inward(layer: dict[str, Any]) -> bool:
    """Whether a layer pads with what is inside."""
    return layer.get("mode", "constant") != "constant" or layer.get("padding_mode", "zeros") != "zeros"


def scaled_case(seed: int) -> dict[str, Any]:
    """Check one network at two sizes, turned and swapped."""
    ndim = 1 + seed % 2
    spec = Scaled.build(seed, ndim)
    with reported(spec):
        analysis = fastrf.analyze(spec)
        others = {
            "twice as large": fastrf.analyze(Scaled.build(seed, ndim, 2)),
            "swapped": fastrf.analyze(Scaled.build(seed, ndim, swapped=True)),
            "turned": fastrf.analyze(Scaled.build(seed, ndim, turned=True)),
        }
        for name in analysis:
            found = values_of(analysis[name])
            for how, other in others.items():
                values = values_of(other[name])
                if not same(found, values[::-1] if how == "turned" else values):
                    raise FaultError(f"{name}: {found}, {how} {values}")
    return spec


@contextlib.contextmanager
def reported(spec: dict[str, Any]) -> Iterator[None]:
    """Errors of fastrf's and faults with the spec that shows them; what is refused passes."""
    try:
        yield
    except fastrf.LimitError:
        raise
    except Exception as error:
        raise FaultError(f"{type(error).__name__}: {error}\n{json.dumps(spec)}") from error


@contextlib.contextmanager
def bounded(seconds: int) -> Iterator[None]:
    """A fault where the block takes longer, in time of the processor: others may be at work."""

    def stop(*_: object) -> None:
        raise FaultError(f"longer than {seconds} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="how long to run")
    parser.add_argument("--seed", type=int, default=0, help="of the first case")
    parser.add_argument("--limit", type=int, default=60, help="seconds per case")
    parser.add_argument("--only", choices=("random", "scaled"), help="one kind of case")
    parser.add_argument("--stop", action="store_true", help="end at the first fault")
    options = parser.parse_args(arguments)
    counts: collections.Counter[str] = collections.Counter()
    end, seed = time.monotonic() + options.seconds, options.seed
    while time.monotonic() < end:
        kind = options.only or ("random", "scaled")[seed % 2]
        try:
            with bounded(options.limit):
                (random_case if kind == "random" else scaled_case)(seed // 2 if options.only is None else seed)
            counts[kind] += 1
        except fastrf.LimitError:
            counts["refused"] += 1
        except FaultError as fault:
            counts["fault"] += 1
            sys.stdout.write(f"{kind} {seed}: {fault}\n")
            if options.stop:
                break
        seed += 1
    counted = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    sys.stdout.write(f"{sum(counts.values())} cases: {counted}; {counts['fault']} faults\n")
    return 1 if counts["fault"] else 0


if __name__ == "__main__":
    sys.exit(main())
