"""Benchmarks: `python -m bench.report` sets every figure beside its target; `pytest bench` keeps a history."""
