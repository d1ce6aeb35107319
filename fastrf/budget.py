"""Limits: what an answer may take before it is one clear error, read when it is asked for; and memory that is free."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, overload

from fastrf.errors import LimitError, UsageError, did_you_mean

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["Limits", "changed", "free_memory", "limits", "require_memory", "thread_pool"]

#: Not worth asking the system for, which takes longer than many an answer.
SMALL = 1 << 20
#: What is free where nobody says.
PLENTY = 1 << 40
_GROUPS, _OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_here: ContextVar[Mapping[str, int]] = ContextVar("fastrf_limits", default={})  # noqa: B039 (never changed)


class Limit:
    """One limit: its default (0: the memory that is free), the largest value that it takes, and if it counts bytes."""

    def __init__(self, default: int, meaning: str, most: int = PLENTY, *, in_bytes: bool = False) -> None:
        self.default, self.meaning, self.most, self.in_bytes = default, meaning, most, in_bytes
        self.name, self.value = "", default

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, limits: None, kind: type) -> Limit: ...
    @overload
    def __get__(self, limits: object, kind: type) -> int: ...
    def __get__(self, limits: object | None, kind: type) -> int | Limit:
        if limits is None:
            return self
        here = _here.get()
        return (here.get(self.name, self.value) if here else self.value) or free_memory()

    def __set__(self, limits: object, value: int | str | None) -> None:
        self.value = self.checked(value)

    def checked(self, value: int | str | None) -> int:
        """The value as a number, None as the default. Raises UsageError for one out of range."""
        if value is None:
            return self.default
        number = _bytes(value) if self.in_bytes and isinstance(value, str) else value
        if type(number) is not int or not 1 <= number <= self.most:
            form = 'such as 8_000_000_000, "8GB" or "512MiB", ' if self.in_bytes else ""
            raise UsageError(f"limits: {self.name} must be an integer {form}from 1 to {self.most}, not {value!r}")
        return number


class Limits:
    """What an answer may take: `fastrf.limits.terms` is what holds here and now.

    `with fastrf.limits(terms=512, memory="8GB"): ...` changes limits for a block, in the thread or task that runs it
    and in the threads that fastrf starts there; `fastrf.limits.terms = 512` for the whole process, and None brings the
    default back. Sizes are integers or texts such as "8GB" and "512MiB". Raises UsageError for a name that is no limit
    or a value out of range.
    """

    __slots__ = ()

    memory = Limit(0, "bytes that one answer may take at once; by default what is free", in_bytes=True)
    axis = Limit(1 << 26, "indices of an axis that an operator changes")
    runs = Limit(1 << 27, "rows or runs of a relation, 8 and 16 bytes each", 1 << 36)
    terms = Limit(1 << 8, "products of relations that a node needs", 1 << 20)
    compared = Limit(1 << 16, "rows or runs up to which terms that share axes are compared, to drop what others hold")
    phases = Limit(1 << 16, "phases of a pattern before it is called irregular", 1 << 24)
    counting = Limit(1 << 34, "steps of counting areas", 1 << 60)
    layers = Limit(200_000, "layers of a network, loops and functions written out; half the steps to find them")
    parts = Limit(1 << 28, "parts times indices of a concatenation")
    iterations = Limit(2000, "iterations of a loop or scan that is unrolled")
    nested = Limit(50, "bodies of ONNX within bodies", 100)
    constants = Limit(1 << 30, "bytes of an ONNX graph's constants at a time", in_bytes=True)
    constant = Limit(1 << 28, "values of a constant that is worked out, of a PyTorch program")
    structure = Limit(1 << 29, "bytes of an ONNX file without its big tensors", (1 << 31) - 1, in_bytes=True)
    file = Limit(64 << 20, "bytes of a spec, of a manifest or of a store's description", in_bytes=True)
    toml = Limit(2 << 20, "characters of TOML, whose parser takes 500 bytes for one of dots")
    key_parts = Limit(8, "parts of a dotted key of TOML, whose parser keeps every prefix", 1000)
    depth = Limit(64, "lists and mappings within each other", 200)
    arrays = Limit(1 << 28, "bytes that an archive of arrays unpacks to, or 100 times the file", in_bytes=True)
    labels = Limit(1 << 24, "bytes of one image's boxes", in_bytes=True)
    anchor_file = Limit(1 << 18, "characters of a file of anchors", 1 << 30)
    line = Limit(1 << 24, "characters of a line of candidates", 1 << 31)
    chunks = Limit(1 << 20, "chunks of a stream of masks")
    states = Limit(1 << 18, "states that sweeps keep from run to run")
    parsed = Limit(32, "ONNX models that sweeps keep parsed")

    def __call__(self, **changes: int | str | None) -> contextlib.AbstractContextManager[None]:
        """A block with other limits."""
        return _within({name: _limit(name).checked(value) for name, value in changes.items()})

    def __setattr__(self, name: str, value: int | str | None) -> None:
        _limit(name).__set__(self, value)

    def __repr__(self) -> str:
        return f"limits({', '.join(f'{name}={getattr(self, name)}' for name in names())})"

    def require(self, name: str, n: int, what: str, remedy: str = "") -> None:
        """Raise LimitError where `n` is beyond a limit: `what` has so many, and the limit or `remedy` is to change."""
        allowed = getattr(self, name)
        if n > allowed:
            others = f", or {remedy}" if remedy else ""
            raise LimitError(f"{what}, more than fastrf.limits({name}={allowed}) allows; raise it{others}")


def names() -> list[str]:
    """The names of all limits."""
    return [name for name, value in vars(Limits).items() if isinstance(value, Limit)]


def changed() -> dict[str, int]:
    """The limits that are not their defaults here and now, by name."""
    here, all_limits = _here.get(), {name: value for name, value in vars(Limits).items() if isinstance(value, Limit)}
    found = {name: here.get(name, limit.value) for name, limit in all_limits.items()}
    return {name: value for name, value in found.items() if value != all_limits[name].default}


def told(limit: Limit) -> str:
    """The default as people read it."""
    if not limit.default:
        return "what is free"
    return f"{limit.default >> 20:,} MiB" if limit.in_bytes else f"{limit.default:,}"


def _limit(name: str) -> Limit:
    found = vars(Limits).get(name)
    if not isinstance(found, Limit):
        hint = did_you_mean(name, names(), f"there are {', '.join(names())}")
        raise UsageError(f"limits: there is no limit {name!r}; {hint}")
    return found


@contextlib.contextmanager
def _within(changes: Mapping[str, int]) -> Iterator[None]:
    token = _here.set({**_here.get(), **changes})
    try:
        yield
    finally:
        _here.reset(token)


limits = Limits()


def thread_pool(workers: int) -> ThreadPoolExecutor:
    """Threads in which the limits of the caller hold."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(workers, initializer=_here.set, initargs=(_here.get(),))


def _bytes(text: str) -> int | None:
    """The bytes of "8GB" or "512MiB"; None for a text that is no size."""
    found = re.fullmatch(r"\s*(\d{1,20}(?:\.\d{1,9})?)\s*(?:([kmgt])(i?))?b?\s*", text.lower(), re.ASCII)
    if found is None:
        return None
    return int(float(found[1]) * (1024 if found[3] else 1000) ** " kmgt".index(found[2] or " "))


def require_memory(n_bytes: int, what: str, remedy: str) -> None:
    """Raise LimitError where `n_bytes` are more than can be had."""
    if n_bytes > SMALL and n_bytes > limits.memory:
        allowed = _here.get().get("memory", Limits.memory.value)
        than = f"fastrf.limits(memory={allowed}) allows" if allowed else "is free"
        raise LimitError(f"{what} take {n_bytes / 2**30:.1f} GiB, more than {than}; {remedy}")


def free_memory() -> int:
    """Bytes that can be had without swapping, in the machine and in the containers that hold this process."""
    return max(min(_free_of_system(), *(allowed - held for allowed, held in _groups()), PLENTY), 0)


def _free_of_system() -> int:
    """What Linux says, or else psutil where it is installed; PLENTY where nobody says."""
    with contextlib.suppress(OSError, StopIteration, ValueError), open("/proc/meminfo", encoding="ascii") as lines:
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    with contextlib.suppress(ImportError, OSError):
        import psutil  # type: ignore[import-untyped,unused-ignore]

        return int(psutil.virtual_memory().available)
    return PLENTY


def _groups() -> Iterator[tuple[int, int]]:
    """What each control group of this process may hold, and what it holds that cannot be dropped at once."""
    for folder, allowed, held in _group_files():
        with contextlib.suppress(OSError, ValueError):
            most = int((folder / allowed).read_text())
            cached = re.search(r"^(?:total_)?inactive_file (\d+)$", (folder / "memory.stat").read_text(), re.MULTILINE)
            yield most, int((folder / held).read_text()) - (int(cached[1]) if cached else 0)


@functools.cache
def _group_files(root: Path = _GROUPS, own: Path = _OWN_GROUPS) -> list[tuple[Path, str, str]]:
    """The folders of this process's groups and their parents, of either version, with the names of their files."""
    found = []
    with contextlib.suppress(OSError, ValueError):
        for line in own.read_text().splitlines():
            _, kinds, path = line.split(":", 2)
            if kinds and "memory" not in kinds.split(","):
                continue
            top = root / "memory" if kinds else root
            files = ("memory.limit_in_bytes", "memory.usage_in_bytes") if kinds else ("memory.max", "memory.current")
            inner = top / path.lstrip("/")
            folders = [folder for folder in (inner, *inner.parents) if folder.is_relative_to(top)]
            found += [(folder, *files) for folder in folders if (folder / files[0]).is_file()]
    return found
