"""explain: one question, one answer. `analysis` calls it for `ReceptiveField.why`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fastrf.engine.dependency import Dependency
from fastrf.errors import LimitError
from fastrf.queries import counting, masks
from fastrf.queries.why.answers import Reason, Why
from fastrf.queries.why.losses import blind_at, hole_at
from fastrf.queries.why.paths import path_to
from fastrf.queries.why.sizes import irregular_at, unbounded_by, widest_steps
from fastrf.queries.why.way import Way, indices, is_read, reading
from fastrf.system.tables import agreed, spans

__all__ = ["explain"]

Place = tuple[int, ...]
#: So many layers are named in a sentence.
_NAMED = 6


def explain(way: Way, positional: Dependency, position: Place | None, pixel: Place | None) -> Why:
    """What makes the target's field large; with a pixel, how it gets to a position, or where it is lost.

    `positional` relates the target's positions to pixels.
    """
    single = math.prod(positional.shape) == 1
    if pixel is not None and position is None and single:
        position = (0,) * len(positional.shape)
    if pixel is None:
        found = _of_size(way, positional, position)
    elif position is None:
        found = _of_pixel(way, positional, pixel)
    else:
        found = _of_pair(way, positional, position, pixel)
    assumed = [f"assumes: {sentence}" for sentence in way.assumes]
    return replace(found, notes=(*found.notes, *assumed), origin=_origin(way))


def _origin(way: Way) -> dict[str, Any]:
    inputs = {
        name: {"shape": one.shape, "channel_axis": one.channel_axis, "guessed": one.guessed}
        for name, one in way.network.inputs.items()
    }
    return {"model": way.network.name, "inputs": inputs, "wrt": way.wrt, "units": "pixels"}


def _of_size(way: Way, positional: Dependency, position: Place | None) -> Why:
    nominal = way.nominal(way.target)
    sizes = [nominal.size_range(k)[1] for k in range(nominal.n_extents)]
    asked: dict[str, Any] = {"node": way.target, "position": position, "pixel": None}
    asked["notes"] = tuple(_notes(way, positional, position))
    if not positional.terms:
        return Why("nothing", sentences=(f"{way.target!r} reads nothing of {way.wrt!r}.",), **asked)
    if any(map(math.isinf, sizes)):
        reasons = unbounded_by(way)
        told = f"{way.target!r} reads whole axes of {way.wrt!r}: {'; '.join(_causes(reasons))}."
        return Why("unbounded", sentences=(told,), reasons=reasons, **asked)
    if any(map(math.isnan, sizes)):
        reasons = irregular_at(way)
        named = [f"{reason.name!r} ({reason.operator}): {reason.cause}" for reason in reasons]
        told = f"The size of {way.target!r} follows no rule from {_listed(named)}."
        return Why("irregular", sentences=(told,), reasons=reasons, **asked)
    reasons = widest_steps(way)
    named = [f"{reason.name!r} ({_signed(reason.adds)})" for reason in reasons[:3] if max(reason.adds) > 0]
    spread = agreed(spans([nominal.size_range(k) for k in range(nominal.n_extents)]))
    wide, steps = f"{way.target!r} is {spread} pixels wide", "steps are" if len(named) > 1 else "step is"
    told = f"{wide}; the widest {steps} {_listed(named)}." if named else f"{wide}: no layer widens it."
    return Why("widest", sentences=(told,), reasons=reasons, **asked)


def _notes(way: Way, positional: Dependency, position: Place | None) -> list[str]:
    try:
        return [*_place(positional, position), *_blind(way, positional), *_holes(way, positional, position)]
    except LimitError as error:
        return [f"blind spots and holes were not looked for: {error}"]


def _place(positional: Dependency, position: Place | None) -> list[str]:
    """What the position itself sees, where one is asked for."""
    if position is None:
        return []
    mask = masks.dense_row(positional, position)
    box = " x ".join(f"[{low}, {high})" for low, high in counting.box(positional, position).tolist())
    return [f"at {position}: {mask.sum():,} pixels are read, in the box {box}"]


def _causes(reasons: Sequence[Reason]) -> list[str]:
    """Each kind of cause, with where it is."""
    named: dict[str, list[str]] = {}
    for reason in reasons:
        named.setdefault(reason.cause, []).append(f"{reason.name!r} ({reason.operator})")
    return [f"{kind} at {_listed(names, 3)}" for kind, names in named.items()]


def _blind(way: Way, positional: Dependency) -> list[str]:
    """What there is to say of pixels that no position sees."""
    whole = positional
    for axis in reversed(range(len(whole.axes))):
        whole = whole.reduce(axis)
    unseen = np.argwhere(~masks.dense_row(whole, ()))
    if not positional.terms or not len(unseen):
        return []
    pixel = tuple(unseen[0].tolist())
    spots = f"{len(unseen):,} of {math.prod(positional.input_shape):,} pixels are seen by no position, such as {pixel}"
    return [f"blind spots: {spots}, lost at {_listed(_losses(blind_at(way, pixel)))}"]


def _holes(way: Way, positional: Dependency, position: Place | None) -> list[str]:
    """What there is to say of holes in what a position sees, by default the one in the middle."""
    if 0 in positional.shape or not positional.input_shape:
        return []
    place = tuple(n // 2 for n in positional.shape) if position is None else position
    mask, box = masks.dense_row(positional, place), counting.box(positional, place)
    inside = mask[tuple(slice(*pair) for pair in box.tolist())]
    holes = np.argwhere(~inside)
    if not mask.any() or not len(holes):
        return []
    pixel = tuple((holes[len(holes) // 2] + box[:, 0]).tolist())
    told = f"{len(holes):,} of {inside.size:,} pixels in the box of {place} are not read, such as {pixel}"
    losses = hole_at(way, place, pixel)
    return [f"holes: {told}, which arises at {_listed(_losses(losses))}"]


def _of_pixel(way: Way, positional: Dependency, pixel: Place) -> Why:
    """Which positions see a pixel, with the path to one of them, or where it is lost."""
    if not is_read(positional, pixel):
        return _blind_spot(way, None, pixel)
    box = [(int(low), int(high)) for low, high in counting.box(positional.transpose(), pixel)]
    places = list(indices(reading(positional, pixel, box), box))
    place = places[len(places) // 2]
    found = _of_pair(way, positional, place, pixel)
    count = f"{len(places):,} of {math.prod(positional.shape):,} positions of {way.target!r} see pixel {pixel}."
    return replace(found, sentences=(count, *found.sentences))


def _of_pair(way: Way, positional: Dependency, position: Place, pixel: Place) -> Why:
    asked: dict[str, Any] = {"node": way.target, "position": position, "pixel": pixel}
    path = path_to(way, position, pixel)
    if path:
        alone = [f"{r.name!r} (from {r.reads[0]!r})" for r in path if r.cause]
        by = f"by a path of {len(path) - 1} layers" if len(path) > 1 else "as it is the input itself"
        told = f"{way.target!r} at {position} sees pixel {pixel} {by}."
        split = f"Of the branches that meet, one alone has it at {_listed(alone, 3)}."
        return Why("path", sentences=(told, split) if alone else (told,), reasons=path, **asked)
    if not is_read(positional, pixel):
        return _blind_spot(way, position, pixel)
    box = counting.box(positional, position).tolist()
    hull = " x ".join(f"[{low}, {high})" for low, high in box)
    if all(low <= p < high for p, (low, high) in zip(pixel, box, strict=True)):
        reasons = hole_at(way, position, pixel)
        told = f"{way.target!r} at {position} does not see pixel {pixel}, which lies within its box {hull}: "
        return Why(
            "hole", sentences=(f"{told}a hole, which arises at {_listed(_losses(reasons))}.",), reasons=reasons, **asked
        )
    told = f"{way.target!r} at {position} does not see pixel {pixel}: it lies outside of what it sees, {hull}."
    return Why("outside", sentences=(told,), **asked)


def _blind_spot(way: Way, position: Place | None, pixel: Place) -> Why:
    reasons = blind_at(way, pixel)
    told = f"No position of {way.target!r} sees pixel {pixel}: "
    lost = f"it is lost at {_listed(_losses(reasons))}." if reasons else f"{way.target!r} reads nothing of {way.wrt!r}."
    return Why("blind", way.target, position, pixel, (told + lost,), reasons)


def _losses(reasons: Sequence[Reason]) -> list[str]:
    return [f"{r.name!r} ({r.operator}), which reads {_listed([repr(read) for read in r.reads])}" for r in reasons]


def _listed(words: Sequence[str], most: int = _NAMED) -> str:
    """Words as people list them; of many, the first."""
    named = list(words[:most])
    if len(words) > most:
        named.append(f"{len(words) - most} more")
    return " and ".join([", ".join(named[:-1]), named[-1]]) if len(named) > 1 else "".join(named)


def _signed(adds: Sequence[float]) -> str:
    return agreed([f"{n:+.10g}" for n in adds])
