"""Asking for memory before it is taken, so that too large an answer is one clear error."""

from __future__ import annotations

from fastrf.errors import LimitError

__all__ = ["free_memory", "require_memory"]


#: Not worth asking the system for, which takes longer than many an answer.
SMALL = 1 << 20


def require_memory(n_bytes: int, what: str, remedy: str) -> None:
    """Raise LimitError where `n_bytes` are more than can be had."""
    if n_bytes > SMALL and n_bytes > free_memory():
        raise LimitError(f"{what} take {n_bytes / 2**30:.1f} GiB, more than is free; {remedy}")


def free_memory() -> int:
    """Bytes that can be had without swapping (Linux), or a large number where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return 1 << 40
