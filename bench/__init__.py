"""Benchmarks: `python -m bench.report` sets every figure beside its target; `pytest bench` keeps a history."""

from fastrf.engine.compiling import compile_from_now_on

compile_from_now_on()  # what is measured again and again is measured compiled
