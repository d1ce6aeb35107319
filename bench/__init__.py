"""Benchmarks: `python -m bench.stages` prints every figure beside its target; `pytest bench` keeps a history."""
