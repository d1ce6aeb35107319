"""Once-for-all's MobileNetV3 space: kernel sizes, expansions and depths of five stages of up to four blocks.

Cai et al. 2020, arXiv 1908.09791; skeleton as in mit-han-lab/once-for-all (`ofa_mbv3.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastrf.errors import FormatError, NetworkError
from fastrf.network import Network
from fastrf.spaces.columns.programs import Columns, Evaluated, Step, conv, identity, sequence, whole
from fastrf.spaces.skeleton import Costs, checked_shape, image_of
from fastrf.spaces.space import Candidates, Codes, Seed, Space, generator, literal, short
from fastrf.zoo.builder import Builder, halved

__all__ = ["OFAMobileNetV3", "Subnet"]

KERNELS, EXPANSIONS, DEPTHS = (3, 5, 7), (3, 4, 6), (2, 3, 4)
STAGES, BLOCKS = 5, 4
_N_BLOCKS = STAGES * BLOCKS
_CHOICES = {"ks": (KERNELS, _N_BLOCKS), "e": (EXPANSIONS, _N_BLOCKS), "d": (DEPTHS, STAGES)}
_WIDTHS = (16, 16, 24, 40, 80, 112, 160, 960, 1280)
_STRIDES = (2, 2, 2, 1, 2)
_SQUEEZED = (False, True, False, True, True)
_HARD = (False, False, True, True, True)
#: Keys of published configurations that say nothing about the network's layers.
_PASSED_OVER = ("wid", "r")
_SHOWN = 'a sub-network; write {"ks": […], "e": […], "d": […]}'


class Subnet(NamedTuple):
    """Kernel size and expansion of each of 20 blocks, four per stage, and how many blocks of each stage are used."""

    ks: tuple[int, ...]
    e: tuple[int, ...]
    d: tuple[int, ...]


class OFAMobileNetV3(Space[Subnet]):
    """Sub-networks in the notation `{"ks": [20 numbers], "e": [20 numbers], "d": [5 numbers]}`.

    With `squeeze_excitation` its gates count: whatever follows the first one depends on the whole image. Otherwise they
    are taken for constants, as tables of receptive fields do; parameters and multiply-accumulates have them either way.
    `width` is the multiplier of channels. `size` counts networks: blocks beyond a stage's depth do not matter.
    """

    size = sum(9**depth for depth in DEPTHS) ** STAGES
    input_shape = (3, 224, 224)

    def __init__(self, squeeze_excitation: bool = True, width: float = 1.0, classes: int = 1000) -> None:
        if not 0 < width <= 100 or classes < 1:
            raise NetworkError(f"width={width} and classes={classes} must be positive")
        self.squeeze_excitation, self.width, self.classes = squeeze_excitation, width, classes
        self.channels = tuple(_divisible(width * channels) for channels in _WIDTHS)
        own = "" if (width, classes) == (1.0, 1000) else f"(width={width:g},classes={classes})"
        self.name = f"ofa_mbv3{own}{'' if squeeze_excitation else '-without-se'}"

    def parse(self, text: Any) -> Subnet:
        """The sub-network of a JSON or Python mapping or its text; one number stands for a list of it.

        The keys `wid` and `r` (an image size) of published configurations are passed over. Raises FormatError and
        NetworkError, which name the entry.
        """
        given = _mapping(text)
        unknown = [key for key in given if key not in _CHOICES and key not in _PASSED_OVER]
        missing = [key for key in _CHOICES if key not in given]
        if unknown or missing:
            raise FormatError(f"a sub-network has ks, e and d; {short((unknown or missing)[0])} is unknown or missing")
        parts = []
        for key, (allowed, length) in _CHOICES.items():
            values = [given[key]] * length if type(given[key]) is int else given[key]
            if not isinstance(values, list | tuple) or not all(type(value) is int for value in values):
                raise FormatError(f"{key!r} must be a list of {length} integers, not {short(given[key])}")
            if len(values) != length:
                raise NetworkError(f"{key!r} has {len(values)} numbers; it takes {length}")
            wrong = [k for k, value in enumerate(values) if value not in allowed]
            if wrong:
                choices = ", ".join(map(str, allowed))
                raise NetworkError(f"{key!r}[{wrong[0]}] is {values[wrong[0]]}; choose from {choices}")
            parts.append(tuple(values))
        return Subnet(*parts)

    def encode(self, arch: Subnet) -> tuple[int, ...]:
        """The 45 numbers."""
        return (*arch.ks, *arch.e, *arch.d)

    def decode(self, codes: Codes) -> list[str]:
        """The JSON of rows of 45 numbers."""
        n = _N_BLOCKS
        return [f'{{"ks": {row[:n]}, "e": {row[n : 2 * n]}, "d": {row[2 * n :]}}}' for row in codes.tolist()]

    def sample(self, n: int, seed: Seed = 0) -> Candidates:
        """`n` sub-networks, every number drawn uniformly."""
        rng = generator(seed)
        drawn = [np.array(allowed, np.int8)[rng.integers(0, 3, (n, length))] for allowed, length in _CHOICES.values()]
        return Candidates(self, np.concatenate(drawn, axis=1))

    def mutate(self, candidate: Any, seed: Seed = 0) -> str:
        """The sub-network with another depth of a stage, or another kernel or expansion of a block that is used."""
        rng = generator(seed)
        arch = self.parse(candidate)
        codes = np.array(self.encode(arch))
        used = [BLOCKS * stage + block for stage, depth in enumerate(arch.d) for block in range(depth)]
        places = [*used, *[_N_BLOCKS + block for block in used], *range(2 * _N_BLOCKS, codes.size)]
        place = int(rng.choice(places))
        allowed = KERNELS if place < _N_BLOCKS else EXPANSIONS if place < 2 * _N_BLOCKS else DEPTHS
        codes[place] = rng.choice([value for value in allowed if value != codes[place]])
        return self.decode(codes[None])[0]

    def network(self, candidate: Any, input_shape: Sequence[int] | None = None) -> Network:
        """The whole network of a sub-network; see `Space.network`. Used block `i` is `blocks.i`."""
        arch = self.parse(candidate)
        shape = checked_shape(self, input_shape)
        first, wide, *widths, last, mixed = self.channels
        net = Builder(self.name, shape)
        names = ("first_conv.conv", "first_conv.bn", "first_conv")
        net.conv_bn_act(names, first, 3, stride=2, padding=1, activation="hardswish")
        place = halved(shape[1:])
        self._add_block(net, "blocks.0", (first, first, wide), (3, 1), (False, False), place)
        number = 1
        for stage in range(STAGES):
            for block in range(arch.d[stage]):
                k = BLOCKS * stage + block
                stride = 1 if block else _STRIDES[stage]
                place = halved(place) if stride == 2 else place
                channels = (wide, _divisible(wide * arch.e[k]), widths[stage])
                how = (_HARD[stage], _SQUEEZED[stage])
                self._add_block(net, f"blocks.{number}", channels, (arch.ks[k], stride), how, place)
                wide, number = widths[stage], number + 1
        net.conv_bn_act(("final_expand.conv", "final_expand.bn", "features"), last, 1, activation="hardswish")
        net.add("global_avg_pool", "global_pooling")
        net.conv_act(("feature_mix.conv", "feature_mix"), mixed, 1, activation="hardswish", bias=False)
        net.add("flatten", "flatten")
        net.add("linear", "classifier", out_features=self.classes)
        return Network.from_dict(net.spec(["features", "classifier"]))

    def _add_block(
        self,
        net: Builder,
        name: str,
        channels: tuple[int, int, int],
        window: tuple[int, int],
        how: tuple[bool, bool],
        place: Sequence[int],
    ) -> None:
        """One block; `channels` before, within and after it; kernel and stride; hard swish and gate or not."""
        source, (before, within, after), (kernel, stride) = net.last, channels, window
        activation = "hardswish" if how[0] else "relu"
        if within != before:
            parts = (f"{name}.expand.conv", f"{name}.expand.bn", f"{name}.expand")
            net.conv_bn_act(parts, within, 1, activation=activation)
        sliding: dict[str, Any] = {"kernel_size": kernel, "stride": stride, "padding": kernel // 2}
        net.add("depthwise_conv", f"{name}.depth.conv", **sliding, bias=False)
        net.add("batch_norm", f"{name}.depth.bn")
        inside = net.add(activation, f"{name}.depth")
        if how[1]:
            gate = net.add("squeeze_excitation", f"{name}.se", squeeze_channels=_divisible(within // 4))
            if not self.squeeze_excitation:
                gate = net.add("constant", f"{name}.gate", shape=(within, *place))
                net.add("mul", f"{name}.gated", inputs=[inside, gate])
        last = f"{name}.point" if stride == 1 and before == after else name
        net.conv_bn((f"{name}.point.conv", last), after, 1)
        if last != name:
            net.add("add", name, inputs=[source, last])

    def evaluate(self, candidates: Candidates, columns: Columns, channels: int | None = None) -> Evaluated:
        """See `Space.evaluate`. A window of stride 1 reads at least what a shortcut around it does."""
        n_channels, *place = image_of(self, columns, channels)
        codes, costs = candidates.codes.astype(np.int64), Costs(columns.n)
        first, wide, *widths, last, mixed = self.channels
        column = columns.apply(sequence(conv(3, 2, 1, layers=1), conv(3, 1, 1, layers=1), _POINT), columns.image, True)
        place = halved(place)
        costs.conv(n_channels * first * 9, first, place)
        costs.conv(9 * first, first, place)
        costs.conv(first * wide, wide, place)
        for stage, out in enumerate(widths):
            gate = _SQUEEZED[stage] and self.squeeze_excitation
            for block in range(BLOCKS):
                kernel, expansion = codes[:, BLOCKS * stage + block], codes[:, _N_BLOCKS + BLOCKS * stage + block]
                stride, used = 1 if block else _STRIDES[stage], codes[:, 2 * _N_BLOCKS + stage] > block
                which = np.where(used, (kernel - 3) // 2, len(KERNELS))
                column = columns.choose(which, _steps(stride, gate), column, True)
                inner = [_divisible(wide * e) for e in range(max(EXPANSIONS) + 1)]
                within = np.array(inner)[expansion]
                costs.conv(wide * within, within, place, used)
                place = halved(place) if stride == 2 else place
                costs.conv(kernel * kernel * within, within, place, used)
                costs.conv(within * out, out, place, used)
                if _SQUEEZED[stage]:
                    squeezed = np.array([_divisible(n // 4) for n in inner])[expansion]
                    costs.linear(within, squeezed, used)
                    costs.linear(squeezed, within, used)
                wide = out
        columns.layer(column)
        costs.conv(wide * last, last, place)
        costs.conv(last * mixed, 0, ())
        costs.linear(mixed, self.classes)
        return Evaluated(column, costs.parameters, costs.macs)


_POINT = conv(1, layers=1)


def _steps(stride: int, gate: bool) -> tuple[Step, ...]:
    """A block of each kernel size, then the block that is not used."""
    rest = (whole(), _POINT) if gate else (_POINT,)
    windows = [sequence(conv(k, stride, k // 2, layers=2), *rest) for k in KERNELS]
    return (*windows, identity) if stride == 1 else tuple(windows)


def _divisible(channels: float) -> int:
    """The multiple of 8 next to a number of channels, not below 90 % of it. Source: Howard et al. 2019."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near + 8 if near < 0.9 * channels else near


def _mapping(text: Any) -> Mapping[Any, Any]:
    """The mapping that a candidate is given as."""
    if isinstance(text, Subnet):
        return text._asdict()
    found = literal(text, _SHOWN) if isinstance(text, str) else text
    if not isinstance(found, Mapping):
        raise FormatError(f"{short(text)} is not {_SHOWN}")
    return found
