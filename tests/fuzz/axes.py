"""Long axes against whole ones: every answer of random networks, with relations stretched from few rows on.

`python -m tests.fuzz.axes --seconds 3600 --seed 0` prints every fault as a case that can be run again, then figures;
it exits with 1 where there was a fault.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import fastrf
from fastrf.engine.relation import Relation
from fastrf.engine.stretched import Stretched, stretched_from
from tests.strategies import random_spec
from tests.strategies.signals import Signal

#: Whole, however long.
NEVER = 1 << 40

QUESTIONS: dict[str, Callable[[fastrf.ReceptiveField], Any]] = {
    "masks": lambda field: field.masks(),
    "neuron masks": lambda field: field.neuron_masks(packed=True),
    "boxes": lambda field: field.boxes(),
    "areas": lambda field: field.areas(),
    "densities": lambda field: field.densities(),
    "coverage": lambda field: field.coverage(),
    "csr": lambda field: field.to_csr().toarray(),
    "csr of neurons": lambda field: field.to_csr(channels=True).toarray(),
    "projective": lambda field: field.projective().masks(),
    "clipped": lambda field: field.clipped(),
    "intervals": lambda field: [
        field.intervals(axis) for axis in range(min(len(field.position_shape), len(field.pixel_shape)))
    ],
    "halo": lambda field: field.halo(),
    "last mask": lambda field: field.mask([n - 1 for n in field.position_shape]),
}

RELATION_QUESTIONS: dict[str, Callable[[Relation], Any]] = {
    "counts": lambda relation: relation.counts,
    "hulls": lambda relation: relation.hulls,
    "chain": lambda relation: relation.is_chain,
    "constant": lambda relation: relation.is_constant,
    "full": lambda relation: relation.is_full,
    "identity": lambda relation: relation.is_identity,
    "occupied": lambda relation: relation.occupied.to_mask(),
    "taken": lambda relation: relation.take(np.arange(relation.n_rows)[::-3]).to_mask(),
    "runs": lambda relation: relation.n_runs,
}


def say(line: str) -> None:
    """A line of output, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def answer(question: Callable[[Any], Any], subject: Any) -> Any:
    """What a question gives, or its kind of error."""
    try:
        return question(subject)
    except fastrf.FastRFError as error:
        return type(error).__name__


def same(left: Any, right: Any) -> bool:
    """Equal answers, arrays and lists of arrays element by element."""
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, np.ndarray):
        return isinstance(right, np.ndarray) and np.array_equal(left, right, equal_nan=left.dtype.kind == "f")
    return bool(left == right)


def stretched_relations(field: fastrf.ReceptiveField) -> Iterator[Stretched]:
    """The relations of a field that are not kept whole."""
    for term in field.relations:
        yield from (group.relation for group in term if isinstance(group.relation, Stretched))


def faults(spec: dict, rows: int, met: Counter) -> list[str]:
    """What is answered otherwise when relations are stretched from so many rows on."""
    with stretched_from(NEVER):
        whole = answer(fastrf.analyze, spec)
        if isinstance(whole, str):
            plain: Any = whole
        else:
            plain = {name: {q: answer(ask, whole[name]) for q, ask in QUESTIONS.items()} for name in whole}
    with stretched_from(rows):
        long = answer(fastrf.analyze, spec)
        if isinstance(long, str) or isinstance(plain, str):
            return [] if long == plain else [f"{plain!s:.60} became {long!s:.60}"]
        found = []
        for name, answers in plain.items():
            met["nodes"] += 1
            for relation in stretched_relations(long[name]):
                met["stretched relations"] += 1
                same_whole = Relation.from_mask(relation.to_mask())
                found += [
                    f"{name}: {q} of {relation}"
                    for q, ask in RELATION_QUESTIONS.items()
                    if not same(ask(relation), ask(same_whole))
                ]
            found += [
                f"{name}: {q}"
                for q, expected in answers.items()
                if not same(expected, answer(QUESTIONS[q], long[name]))
            ]
        return found


def case(seed: int) -> tuple[dict, int]:
    """A random network, and from how many rows on its relations are stretched."""
    rng = np.random.default_rng(seed)
    rows = int(rng.choice([2, 5, 16, 40]))
    if rng.random() < 0.7:
        return Signal(rng).spec, rows
    shape = [int(rng.integers(1, 3)), int(rng.integers(30, 150))]
    if rng.random() < 0.3:
        shape.insert(int(rng.integers(1, 3)), 2)
    return random_spec(rng, input_shape=shape, max_elements=700), rows


def run(seconds: float, seed: int) -> tuple[Counter, int]:
    """Networks until the time is up, at least one; figures, and how many were wrong."""
    met: Counter = Counter()
    wrong, end = 0, time.monotonic() + seconds
    while not met["networks"] or time.monotonic() < end:
        number = seed * 1_000_000 + met["networks"]
        spec, rows = case(number)
        met["networks"] += 1
        try:
            found = faults(spec, rows, met)
        except Exception as error:  # an answer that breaks is a fault, too
            found = [f"{type(error).__name__}: {error}"]
        if found:
            wrong += 1
            say(json.dumps({"seed": number, "rows": rows, "faults": found, "spec": spec}))
    return met, wrong


def main() -> int:
    """Read the command line, run, and say what was met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    met, wrong = run(given.seconds, given.seed)
    say(", ".join(f"{count} {what}" for what, count in met.items()) + f": {wrong} faults")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
