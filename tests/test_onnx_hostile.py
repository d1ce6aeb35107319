"""Hostile ONNX files: an answer or one clear line, in bounded time and memory, never a crash."""

from __future__ import annotations

import random
import warnings

import pytest

import fastrf

pytest.importorskip("onnx")

from tests.conftest import scaled
from tests.onnx_oracle.fuzz import FAILURES, Worker
from tests.onnx_oracle.hostile import CORPUS, SLOW
from tests.onnx_oracle.mutation import mutant

MUTANTS = scaled(1500)


def test_the_corpus(tmp_path) -> None:
    """In a process of its own with 6 GB of memory and a minute for each file."""
    worker = Worker("tests.onnx_oracle.fuzz:target", seconds=60, strict=True)
    path = tmp_path / "hostile.onnx"
    wrong = []
    for name, build in CORPUS.items():
        if name in SLOW:
            continue
        path.write_bytes(build())
        kind, text = worker(path)
        if kind in FAILURES:
            wrong.append((name, kind, text))
    worker.stop()
    assert wrong == []


def test_mutants(tmp_path) -> None:
    """A short run of what `python -m tests.onnx_oracle.fuzz` does for as long as it is told."""
    path = tmp_path / "mutant.onnx"
    fine = 0
    for number in range(MUTANTS):
        path.write_bytes(mutant(random.Random(f"ci-{number}")))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                fastrf.analyze(path).summary()
                fine += 1
            except fastrf.FastRFError as error:
                text = str(error)
                assert text.strip().isprintable(), f"mutant {number}: {text!r}"
                assert len(text) < 2000
    assert fine > MUTANTS // 5
