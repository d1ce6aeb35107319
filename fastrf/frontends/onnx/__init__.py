"""The ONNX front-end: model files and ModelProtos to a Network, without their weights.

| module | does |
|---|---|
| `skimming` | a file's bytes, big tensors left out where they lie |
| `reading` | bytes to a ModelProto, inputs with shapes, the lowered Network |
| `shortening` | a model cut off behind one node, or without nodes that make constants |
| `walk` | the graph, node by node, to layers; small constants are evaluated |
| `registry` | what rules see: the walk, one node with what it reads; and where they are registered |
| `nodes` | what nodes are called, what they read, and an order to run them in |
| `schemas` | what the standard says of an operator |
| `constants` | tensors that the input does not reach |
| `known` | numbers that constants decide, followed through operators |
| `inputs` | shapes of inputs, solved together, and values of controls |
| `rules_*` | one rule per operator: the layers it stands for |
"""

from __future__ import annotations

from fastrf.frontends.onnx import rules_control, rules_dense, rules_pointwise, rules_shape, rules_windows  # noqa: F401 (registered so)
from fastrf.frontends.onnx.inputs import stated
from fastrf.frontends.onnx.reading import read, to_network
from fastrf.frontends.onnx.shortening import cut, folded

__all__ = ["cut", "folded", "read", "stated", "to_network"]
