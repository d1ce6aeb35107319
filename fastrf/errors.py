"""Every error that fastrf raises on purpose.

FastRFError
├── NetworkError         an impossible architecture (also a ValueError)
│   ├── ShapeError       sizes that do not fit each other
│   └── UnknownNodeError a name that no node has (also a KeyError)
├── UnsupportedOpError   an operator without a rule; names the operator and the node
├── FormatError          a file or mapping that cannot be read (also a ValueError)
├── LimitError           more memory, nodes or terms than allowed; says what to raise
├── UsageError           options of a command that do not fit each other
├── PositionError        an index out of range (also an IndexError)
└── MissingExtraError    an optional package is absent; names the extra (also an ImportError)
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "FastRFError",
    "FormatError",
    "LimitError",
    "MissingExtraError",
    "NetworkError",
    "PositionError",
    "ShapeError",
    "UnknownNodeError",
    "UnsupportedOpError",
    "UsageError",
    "a_kind",
    "did_you_mean",
    "shown",
]


#: Names of more characters are not compared, nor more names.
MAX_COMPARED, MAX_NAMES = 100, 10_000
#: Messages are not longer than this.
MAX_TEXT = 1000


class FastRFError(Exception):
    """Base of every error that fastrf raises on purpose."""

    def __str__(self) -> str:
        """One line of bounded length, whatever names of files and layers are in it."""
        text = shown(str(self.args[0])) if self.args else type(self).__name__
        return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT // 2]} ... {text[-MAX_TEXT // 2 :]}"


class NetworkError(FastRFError, ValueError):
    """An impossible architecture: the message names the node, the operator and the remedy."""


class ShapeError(NetworkError):
    """Sizes that do not fit each other, or an input shape that is missing."""


class UnknownNodeError(NetworkError, KeyError):
    """A name that no node has; the message gives close ones."""


class UnsupportedOpError(FastRFError):
    """An operator without a rule; the message names the operator and the node."""


class FormatError(FastRFError, ValueError):
    """A file or mapping that cannot be read as a network or a field."""


class LimitError(FastRFError):
    """More memory, nodes or terms than allowed; the message says what to raise."""


class UsageError(FastRFError):
    """Options of a command that do not fit each other."""


class PositionError(FastRFError, IndexError):
    """A position or neuron outside its feature map."""


class MissingExtraError(FastRFError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""


def a_kind(value: object) -> str:
    """The type of a value with its article: "a list", "an ndarray", "an SGD"."""
    name = type(value).__name__
    spelt = name[:2].isupper() and name[0] in "FHLMNRSX"  # letter by letter
    return f"{'an' if spelt or name[:1] in 'aeiouAEIO' else 'a'} {name}"


def did_you_mean(name: object, known: Iterable[str], otherwise: str) -> str:
    """The known names that are like an unknown one, as a question; where none is, what else there is to say.

    Comparing takes the square of the length, so only short names are.
    """
    short = [one for one in known if len(one) <= MAX_COMPARED][:MAX_NAMES]
    close = difflib.get_close_matches(str(name), short, cutoff=0.5) if len(str(name)) <= MAX_COMPARED else []
    return f"did you mean {', '.join(close)}?" if close else otherwise


def shown(text: str) -> str:
    """The text on one line, with control characters as Python writes them."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
