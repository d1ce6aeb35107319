"""What networks of repeated blocks are written with: a list of layers that remembers the last one added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["Builder", "halved"]

INPUT = "input"
Sizes = int | Sequence[int]


class Builder:
    """Collects the layers of one spec: `name` is the network's, `input_shape` `(channels, *spatial)` without a batch.

    Every method that adds returns the name of the node it added last, so calls chain by name; without `inputs` a layer
    reads the one added before it (the network's input, for the first).
    """

    def __init__(self, name: str, input_shape: Sequence[int]) -> None:
        self.name = name
        self.input_shape = tuple(input_shape)
        self.last = INPUT
        self._layers: dict[str, dict[str, Any]] = {}

    def add(self, op: str, name: str, *, inputs: str | Sequence[str] | None = None, **attrs: Any) -> str:
        """Append one layer and return its name; `inputs` is a node's name or a list of them.

        Sequences in `attrs`, the operator's attributes, are copied to lists, so no two layers share one. Raises
        ValueError when `name` is taken or an input does not exist yet.
        """
        sources = [self.last] if inputs is None else [inputs] if isinstance(inputs, str) else list(inputs)
        missing = [source for source in sources if source != INPUT and source not in self._layers]
        if missing or name in self._layers or name == INPUT:
            reason = f"unknown inputs {missing}" if missing else "the name is taken"
            raise ValueError(f"network {self.name!r}, node {name!r}: {reason}")
        plain = {key: _plain(value) for key, value in attrs.items()}
        self._layers[name] = {"name": name, "op": op, "inputs": sources, **plain}
        self.last = name
        return name

    def conv(self, name: str, out_channels: int, kernel_size: Sizes, **attrs: Any) -> str:
        """A convolution."""
        return self.add("conv", name, out_channels=out_channels, kernel_size=kernel_size, **attrs)

    def conv_bn(self, names: tuple[str, str], out_channels: int, kernel_size: Sizes, **attrs: Any) -> str:
        """A convolution without bias, then batch norm; `names` are theirs, `attrs` the convolution's."""
        self.conv(names[0], out_channels, kernel_size, **attrs, bias=False)
        return self.add("batch_norm", names[1])

    def conv_bn_act(
        self, names: tuple[str, str, str], channels: int, kernel_size: Sizes, activation: str = "relu", **attrs: Any
    ) -> str:
        """`conv_bn`, then `activation`; `names` are those of the three nodes."""
        self.conv_bn(names[:2], channels, kernel_size, **attrs)
        return self.add(activation, names[2])

    def conv_act(
        self, names: tuple[str, str], channels: int, kernel_size: Sizes, activation: str = "relu", **attrs: Any
    ) -> str:
        """A convolution with bias, then `activation`; `names` are those of the two nodes."""
        self.conv(names[0], channels, kernel_size, **attrs)
        return self.add(activation, names[1])

    def spec(self, outputs: Sequence[str] | None = None) -> dict[str, Any]:
        """The finished spec; `outputs` defaults to the last layer."""
        return {
            "name": self.name,
            "input_shape": list(self.input_shape),
            "layers": list(self._layers.values()),
            "outputs": [self.last] if outputs is None else list(outputs),
        }


def _plain(value: Any) -> Any:
    """The value with its sequences, at every depth, as new lists."""
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def halved(sizes: Sequence[int]) -> list[int]:
    """Sizes behind a stride of 2, rounded up: an odd kernel that is padded by half of it, rounded down."""
    return [-(-size // 2) for size in sizes]
