"""Ways to spoil a file: bytes, words of a text, values of JSON, members of an archive, headers of arrays."""

from __future__ import annotations

import io
import json
import random
import re
import zipfile
from collections.abc import Callable
from typing import Any

__all__ = ["Spoil", "applied", "in_archive", "of_array", "of_bytes", "of_json", "of_text"]

Spoil = Callable[[random.Random, bytes], bytes]

#: Numbers at the edges of what a reader handles.
NUMBERS: tuple[Any, ...] = (
    *(0, 1, -1, 2, 3, 7, 64, 255, 2**16, 2**31 - 1, 2**31, 2**40, 2**62, 2**63 - 1, 2**63, -(2**31), -(2**63)),
    *(10**30, 0.5, -0.5, 1e-300, 1e300, float("nan"), float("inf"), -float("inf")),
)
#: Texts that someone might obey.
TEXTS = (
    *(
        "",
        "x",
        "\x1b[31m",
        "\n",
        "\x00",
        "\ud800",
        "=1+1",
        "<b>|",
        "payload:x",
        "payload",
        "sys:exit",
        "a.b.c",
        "__class__",
    ),
    *(
        "../home/precious",
        "/dev/zero",
        "/dev/stdin",
        "/proc/self/mem",
        "home",
        "pipe.json",
        "torch.os.system",
        "1" * 5000,
    ),
    *("__import__('os').system('touch mark')", "nan", "-inf", "1e999", "0x" + "f" * 400, "a" * 3000, "builtins.exec"),
)
_WORD = re.compile(r"[\w.+-]+|\s+|.", re.DOTALL)


def value(rng: random.Random, depth: int = 0) -> Any:
    """A value that is probably wrong."""
    what = rng.random()
    if what < 0.5:
        return rng.choice(NUMBERS) if rng.random() < 0.7 else rng.randint(-20, 300)
    if what < 0.75:
        return rng.choice(TEXTS)
    if what < 0.9 or depth > 2:
        return rng.choice([None, True, False, [], {}])
    if what < 0.93:
        deep: Any = 1
        for _ in range(rng.choice([3, 70, 400])):
            deep = [deep] if rng.random() < 0.5 else {"a": deep}
        return deep
    return [value(rng, depth + 1) for _ in range(rng.randint(1, 4))]


def of_bytes(rng: random.Random, data: bytes) -> bytes:
    """Some bytes changed, inserted, deleted or doubled; or the end cut off."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        where, length = rng.randrange(len(out) + 1), rng.choice([1, 1, 2, 8, 64])
        what = rng.randrange(9)
        if what < 4 and where < len(out):
            out[where] = rng.choice([out[where] ^ 1 << rng.randrange(8), rng.randrange(256), 0, 255])
        elif what == 4:
            out[where:where] = rng.randbytes(length)
        elif what == 5:
            del out[where : where + length]
        elif what == 6:
            out[where:where] = out[where : where + length] * rng.choice([1, 100])
        elif what == 7 and rng.random() < 0.3:
            del out[where:]
    return bytes(out)


def of_text(rng: random.Random, data: bytes) -> bytes:
    """Some words replaced, dropped, moved or repeated."""
    words = _WORD.findall(data.decode("utf-8", "replace"))
    for _ in range(rng.choice([1, 1, 2, 5])):
        where = rng.randrange(len(words) + 1)
        what = rng.randrange(6)
        if what <= 2:
            words[where : where + 1] = [str(value(rng))]
        elif what == 3:
            del words[where : where + rng.choice([1, 3, 20])]
        elif what == 4:
            end = where + rng.choice([1, 2, 5, 20])
            words[where:end] = words[where:end] * rng.choice([2, 10, 3000 // max(len(words[where:end]), 1) + 1])
        else:
            words.insert(
                where, rng.choice(["[", "]", "{", "}", '"', "'", ".", ",", "=", ":", "\\", "#", "(", "-", "\ufeff"])
            )
    return "".join(words).encode("utf-8", "replace")


def _places(found: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in JSON."""
    places, stack = [], [found]
    while stack:
        item = stack.pop()
        keys = list(item) if isinstance(item, dict) else range(len(item)) if isinstance(item, list) else ()
        for key in keys:
            places.append((item, key))
            stack.append(item[key])
    return places


def changed(rng: random.Random, found: Any) -> Any:
    """JSON with some values replaced, dropped, doubled or exchanged."""
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        places = _places(found)
        if not places:
            return value(rng)
        (where, key), (other, there) = rng.choice(places), rng.choice(places)
        what = rng.randrange(7)
        if what <= 2:
            where[key] = value(rng)
        elif what == 3:
            del where[key]
        elif what == 4 and isinstance(where, list):
            where[key:key] = where[key : key + 1] * rng.choice([1, 2, 500])
        elif what == 5:
            where[key] = json.loads(json.dumps(other[there]))
        elif isinstance(where, dict):
            where[rng.choice([*TEXTS, "name", "op", "layers", "input_shape", "source", "id"])] = where.pop(key)
    return found


def of_json(rng: random.Random, data: bytes) -> bytes:
    """Values changed, or the text."""
    if rng.random() < 0.25:
        return (of_bytes if rng.random() < 0.5 else of_text)(rng, data)
    text = json.dumps(changed(rng, json.loads(data)))
    return text.encode("utf-8", "surrogatepass")


def of_array(rng: random.Random, data: bytes) -> bytes:
    """The header of a `.npy`, or its bytes."""
    if rng.random() < 0.4 or len(data) < 10:
        return of_bytes(rng, data)
    size = int.from_bytes(data[8:10], "little")
    header = of_text(rng, data[10 : 10 + size])[:65000]
    for old, kinds in (
        (b"<f8", (b"|O", b"<U9", b"<c16", b"<f2", b"|V0", b">i8", b"<m8[s]")),
        (b"False", (b"True", b"1")),
    ):
        header = header.replace(old, rng.choice(kinds)) if rng.random() < 0.2 else header
    return data[:8] + len(header).to_bytes(2, "little") + header + data[10 + size :]


def in_archive(rng: random.Random, data: bytes) -> bytes:
    """A member spoilt by what it holds, dropped, doubled, renamed or swollen; or the archive's bytes."""
    if rng.random() < 0.2:
        return of_bytes(rng, data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    for _ in range(rng.choice([1, 1, 2])):
        where = rng.randrange(len(members))
        name, content = members[where]
        what = rng.randrange(10)
        if what <= 6:
            members[where] = name, applied(_by_name(name), rng, content)
        elif what == 7:
            members[where] = rng.choice([f"{name}x", f"../{name}", "/x", *(other for other, _ in members)]), content
        elif what == 8 and len(members) > 1:
            del members[where]
        else:
            members[where] = name, content + bytes(rng.choice([1, 1000, 1 << 24]))
    out = io.BytesIO()
    kind = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
    with zipfile.ZipFile(out, "w", kind) as archive:
        for name, content in members:
            if name not in archive.namelist():
                archive.writestr(name, content)
    return out.getvalue()


def applied(rule: Spoil, rng: random.Random, data: bytes) -> bytes:
    """What a rule makes of content; what is spoilt so far that the rule cannot read it has its bytes changed."""
    try:
        return rule(rng, data)
    except Exception:
        return of_bytes(rng, data)


def _by_name(name: str) -> Spoil:
    if name.endswith(".json"):
        return of_json
    return _of_header if name == "header.npy" else of_array if name.endswith(".npy") else of_bytes


def _of_header(rng: random.Random, data: bytes) -> bytes:
    """The header of a saved field: JSON as an array of bytes."""
    if rng.random() < 0.1:
        return of_array(rng, data)
    import numpy as np

    text = of_json(rng, np.load(io.BytesIO(data)).tobytes())
    out = io.BytesIO()
    np.save(out, np.frombuffer(text, np.uint8))
    return out.getvalue()
