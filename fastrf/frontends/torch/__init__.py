"""The PyTorch front-end: modules, exported programs and `.pt2` files to a Network.

| module | does |
|---|---|
| `capture` | a module and its input shape to an ExportedProgram, without changing the module |
| `inputs`, `returning` | what forward is called with; what the model and its modules return, by names |
| `keeping`, `failing` | the user's model, left as it was; why one cannot be captured |
| `program` | an ExportedProgram to a Network: inputs, outputs, names |
| `walk` | the exported graph, node by node, to layers; what does not depend on the input is evaluated |
| `simplifying` | operators without a rule, in others; which arguments an operator reads |
| `rules_*` | one rule per ATen operator: the layers it stands for |
"""

from __future__ import annotations

from fastrf.frontends.torch import (
    rules_dense,
    rules_index,
    rules_own,
    rules_pointwise,
    rules_recurrent,
    rules_shape,
    rules_whole,
    rules_windows,
)
from fastrf.frontends.torch.capture import capture, load_callable, load_file
from fastrf.frontends.torch.program import check_given, to_network

__all__ = [
    "capture",
    "check_given",
    "load_callable",
    "load_file",
    "rules_dense",
    "rules_index",
    "rules_own",
    "rules_pointwise",
    "rules_recurrent",
    "rules_shape",
    "rules_whole",
    "rules_windows",
    "to_network",
]
