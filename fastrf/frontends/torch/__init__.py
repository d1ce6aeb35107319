"""The PyTorch front-end: modules, exported programs and `.pt2` files to a Network.

| module | does |
|---|---|
| `capture` | a module and its input shape to a Program, recorded or exported, without changing the module |
| `failing`, `factories` | why a model fails in its own forward; a module by the name of what makes it |
| `recording/` | one run of the module on tensors without data |
| `inputs`, `returning` | what forward is called with; what the model and its modules return, by names |
| `keeping`, `exporting` | the user's model, left as it was; the same programs from every release of PyTorch |
| `quantizing` | models that are prepared for quantisation |
| `archive` | a `.pt2` file without what could run |
| `programs`, `program` | a captured model, whoever captured it; to a Network: inputs, outputs, names |
| `naming` | what layers are called: by the modules that return them |
| `walk` | the captured graph, node by node, to layers; what does not depend on the input is evaluated |
| `registry`, `names` | the rules by name and what they see of the walk; the forms and families of operators |
| `known`, `weights` | values that no input and no weight changes |
| `parameters` | how many numbers of parameters each layer is the first to use |
| `simplifying` | operators without a rule, in others; which arguments an operator reads |
| `sizes` | which sizes a module takes: runs on a symbol |
| `transforms`, `cancelling` | Fourier transforms; whether one gives back what another was given |
| `rules_*` | rules of ATen operators: the layers that each stands for |
"""

from __future__ import annotations

from fastrf.frontends.torch import (
    rules_dense,
    rules_index,
    rules_own,
    rules_pointwise,
    rules_recurrent,
    rules_shape,
    rules_spectra,
    rules_whole,
    rules_windows,
)
from fastrf.frontends.torch.archive import load_file
from fastrf.frontends.torch.capture import capture, captured
from fastrf.frontends.torch.factories import load_callable, load_timm
from fastrf.frontends.torch.program import check_given, to_network

__all__ = [
    "capture",
    "captured",
    "check_given",
    "load_callable",
    "load_file",
    "load_timm",
    "rules_dense",
    "rules_index",
    "rules_own",
    "rules_pointwise",
    "rules_recurrent",
    "rules_shape",
    "rules_spectra",
    "rules_whole",
    "rules_windows",
    "to_network",
]
