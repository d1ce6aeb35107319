"""An independent oracle of PyTorch models: structural receptive fields by autograd over a linearised graph.

| module | does |
|---|---|
| `linearise` | runs an exported graph with surrogates; `Oracle(exported, inputs, keep).mask(node, index)` |
| `core` | supports, structural zeros, the table of surrogates |
| `operators`, `contractions`, `spectra` | the surrogates |
| `resize` | the taps of interpolation, in rational arithmetic |

It shares no code with fastrf and imports none of it.
"""

from tests.autograd.core import UnknownOperatorError
from tests.autograd.linearise import Linearised, Oracle, masks

__all__ = ["Linearised", "Oracle", "UnknownOperatorError", "masks"]
