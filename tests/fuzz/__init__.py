"""Fuzzers that run for as long as one likes, `python -m tests.fuzz.NAME --seconds 3600`; tests run them briefly."""
