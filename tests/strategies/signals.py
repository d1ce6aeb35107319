"""Random networks on long axes: few channels, and attributes as large as the axis allows."""

from collections.abc import Callable

import numpy as np

from tests.reference import output_shape
from tests.strategies.builder import Shape

MODES = ("constant", "reflect", "symmetric", "replicate", "circular")


class Signal:
    """A random network on a signal, or an image that is long along one axis, built a block at a time."""

    def __init__(self, rng: np.random.Generator, longest: int = 300, blocks: int = 6) -> None:
        """Draw the input and the blocks; one that does not fit is left out."""
        self.rng, self.layers = rng, []
        spatial = [self.integer(30, longest)]
        if self.chance(0.25):
            spatial.insert(self.integer(0, 1), self.integer(1, 4))
        self.shapes: dict[str, Shape] = {"input": (self.pick(1, 1, 2), *spatial)}
        self.last, self.most = "input", 3 * longest
        while len(self.layers) < blocks:
            before = len(self.layers), self.last
            try:
                self.last = self.pick(*BLOCKS)(self, self.last)
            except ValueError:  # it does not fit
                for layer in self.layers[before[0] :]:
                    del self.shapes[layer["name"]]
                self.layers, self.last = self.layers[: before[0]], before[1]
        self.spec = {"input_shape": list(self.shapes["input"]), "layers": self.layers}

    def pick(self, *options: object) -> object:
        """One of the options."""
        return options[self.rng.integers(len(options))]

    def integer(self, low: int, high: int) -> int:
        """An integer in low..high, both included, rather a small one."""
        return low + int((high - low + 1) * self.rng.random() ** 2)

    def chance(self, p: float) -> bool:
        """True with probability p."""
        return bool(self.rng.random() < p)

    def long(self, x: str) -> int:
        """The longest axis."""
        return int(np.argmax(self.shapes[x]))

    def spatial(self, x: str, value: Callable[[], object], rest: object) -> list:
        """A value for the longest spatial axis, another for the rest."""
        sizes = self.shapes[x][1:]
        return [value() if axis == int(np.argmax(sizes)) else rest for axis in range(len(sizes))]

    def add(self, op: str, *inputs: str, **attrs: object) -> str:
        """A layer; ValueError where it does not fit or is too large."""
        shape = output_shape(op, attrs, [self.shapes[x] for x in inputs])
        if np.prod(shape) > self.most or 0 in shape or len(shape) not in (2, 3):
            raise ValueError(shape)
        name = f"{op}{len(self.layers)}"
        self.layers.append({"name": name, "op": op, "inputs": list(inputs), **attrs})
        self.shapes[name] = shape
        return name

    def along(self, op: str, x: str, **attrs: object) -> str:
        """A layer along the longest axis."""
        return self.add(op, x, axis=self.long(x), **attrs)


Block = Callable[[Signal, str], str]
BLOCKS: list[Block] = []


def block(function: Block) -> Block:
    """Register what appends some layers and returns the last one."""
    BLOCKS.append(function)
    return function


def _conv(net: Signal, x: str, **attrs: object) -> str:
    mode = net.pick("zeros", "zeros", "reflect", "replicate", "circular")
    kernel, dilation = net.pick(1, 2, 3, 5), net.pick(1, 1, 2, 9)
    window = {
        "kernel_size": net.spatial(x, lambda: kernel, 1),
        "padding": net.spatial(x, lambda: [net.integer(0, 20), net.integer(0, 20)], [0, 0]),
        "stride": net.spatial(x, lambda: net.pick(1, 1, 2, 3, 7), 1),
        "dilation": net.spatial(x, lambda: dilation, 1),
    }
    return net.add("conv", x, **{"out_channels": net.pick(1, 2), "padding_mode": mode, **window, **attrs})


@block
def _plain(net: Signal, x: str) -> str:
    return _conv(net, x)


@block
def _residual(net: Signal, x: str) -> str:
    return net.add("add", x, _conv(net, x, padding="same", stride=1))


@block
def _branches(net: Signal, x: str) -> str:
    stride = net.spatial(x, lambda: net.pick(1, 2, 3), 1)
    near = _conv(net, x, padding="same", stride=stride)
    return net.add(net.pick("add", "mul"), near, _conv(net, x, padding="same", stride=stride))


@block
def _up_and_down(net: Signal, x: str) -> str:
    low = net.add("max_pool", x, kernel_size=net.spatial(x, lambda: 2, 1), ceil_mode=net.chance(0.5))
    up = net.add("resize", low, output_size=list(net.shapes[x][1:]), mode=net.pick("nearest", "linear"))
    return net.add("concat", up, x, axis=net.pick(0, net.long(x)))


@block
def _pool(net: Signal, x: str) -> str:
    window = {"kernel_size": net.spatial(x, lambda: net.pick(2, 3, 4), 1)}
    return net.add("avg_pool", x, **window, stride=net.spatial(x, lambda: net.pick(1, 2, 5), 1), ceil_mode=True)


@block
def _adaptive(net: Signal, x: str) -> str:
    n = net.shapes[x][net.long(x)]
    sizes = net.spatial(x, lambda: max(n * net.pick(1, 2, 3) // net.pick(1, 2, 3, 4), 1), None)
    return net.add("adaptive_avg_pool", x, output_size=sizes)


@block
def _resize(net: Signal, x: str) -> str:
    scale = net.spatial(x, lambda: net.pick(2, 3, 1.5, 0.5, 0.75), 1)
    mode = net.pick("nearest", "linear", "cubic")
    return net.add("resize", x, scale=scale, mode=mode, coordinates=net.pick("half_pixel", "align_corners"))


@block
def _transposed(net: Signal, x: str) -> str:
    kernel, stride = net.pick(1, 2, 4, 8), net.pick(1, 2, 3)
    pads = net.spatial(x, lambda: [net.integer(0, kernel - 1), net.integer(0, kernel + 4)], [0, 0])
    steps = {"kernel_size": net.spatial(x, lambda: kernel, 1), "stride": net.spatial(x, lambda: stride, 1)}
    dilation = net.spatial(x, lambda: net.pick(1, 1, 3), 1)
    return net.add("conv_transpose", x, out_channels=1, padding=pads, dilation=dilation, **steps)


@block
def _pad(net: Signal, x: str) -> str:
    mode, at, n = net.pick(*MODES), net.long(x), max(net.shapes[x])
    low = -n // 3 if mode == "constant" else 0
    pairs = [[0, 0] for _ in net.shapes[x]]
    pairs[at] = [net.integer(net.pick(low, 0), n - (mode == "reflect")) for _ in range(2)]
    return net.add("pad", x, padding=pairs, mode=mode)


@block
def _slice(net: Signal, x: str) -> str:
    n = max(net.shapes[x])
    if net.chance(0.3):
        return net.along("slice", x, step=-net.integer(1, 3), start=net.integer(n // 2, n))
    return net.along("slice", x, start=net.integer(0, n // 2), stop=n - net.integer(0, n // 3), step=net.integer(1, 4))


@block
def _flip(net: Signal, x: str) -> str:
    return net.add("flip", x, axes=[net.long(x)])


@block
def _roll(net: Signal, x: str) -> str:
    return net.add("roll", x, shifts=net.integer(0, 90) - 30, axes=net.long(x))


@block
def _gather(net: Signal, x: str) -> str:
    n = max(net.shapes[x])
    index = net.pick(net.rng.permutation(n), np.arange(n) // 2, np.r_[np.arange(5), np.arange(n)])
    return net.along("gather", x, indices=[int(i) for i in index])


@block
def _scatter(net: Signal, x: str) -> str:
    n, m = max(net.shapes[x]), net.integer(1, 40)
    part = net.along("slice", x, start=0, stop=m)
    index = [int(i) for i in net.rng.integers(0, n, net.shapes[part][net.long(x)])]
    return net.add("scatter", x, part, axis=net.long(x), indices=index, reduce=net.pick("none", "add"))


@block
def _joined(net: Signal, x: str) -> str:
    others = [name for name, shape in net.shapes.items() if shape == net.shapes[x]]
    parts = [x, net.along("slice", x, start=net.integer(0, 9)), net.pick(*others)][: net.pick(2, 3)]
    return net.add("concat", *[parts[i] for i in net.rng.permutation(len(parts))], axis=net.long(x))


@block
def _interleaved(net: Signal, x: str) -> str:
    y, shape = net.pick(x, _conv(net, x, padding="same", stride=1, out_channels=net.shapes[x][0])), net.shapes[x]
    at = net.long(x)
    pair = [*shape[: at + 1], 1, *shape[at + 1 :]]
    both = net.add("concat", *[net.add("reshape", z, shape=pair) for z in (x, y)], axis=at + 1)
    return net.add("reshape", both, shape=[*shape[:at], 2 * shape[at], *shape[at + 1 :]])


@block
def _frames(net: Signal, x: str) -> str:
    at, shape = net.long(x), net.shapes[x]
    size = net.pick(2, 4, 5, 16)
    cut = net.along("slice", x, start=0, stop=shape[at] // size * size)
    rest = [n for axis, n in enumerate(shape) if axis != at]
    if np.prod(rest) != 1:
        raise ValueError(rest)
    rows = net.add("reshape", cut, shape=[shape[at] // size, size])
    mixed = net.pick(
        rows,
        net.add("softmax", rows, axis=net.pick(0, 1)),
        net.add("cumsum", rows, axis=net.pick(0, 1)),
        net.add("transpose", rows, axis0=0, axis1=1),
        net.add("flip", rows, axes=[1]),
    )
    sizes = [1] * len(shape)
    sizes[at] = int(np.prod(net.shapes[mixed]))
    return net.add("reshape", mixed, shape=sizes)


@block
def _unfolded(net: Signal, x: str) -> str:
    kernel, stride = net.pick(2, 3, 8), net.pick(1, 2, 4)
    window = {"kernel_size": net.spatial(x, lambda: kernel, 1), "stride": net.spatial(x, lambda: stride, 1)}
    columns = net.add("unfold", x, **window)
    if net.chance(0.5):
        return columns
    return net.add("fold", columns, output_size=list(net.shapes[x][1:]), **window)


@block
def _summed(net: Signal, x: str) -> str:
    return net.along("cumsum", x, reverse=net.chance(0.5), exclusive=net.chance(0.5))


@block
def _repeated(net: Signal, x: str) -> str:
    if net.chance(0.5):
        return net.along("repeat_interleave", x, repeats=net.pick(2, 3))
    return net.add("repeat", x, repeats=[2 if axis == net.long(x) else 1 for axis in range(len(net.shapes[x]))])


@block
def _gate(net: Signal, x: str) -> str:
    return net.add("mul", x, net.add("mean", x, axes=[net.long(x)], keepdims=True))


@block
def _turned(net: Signal, x: str) -> str:
    turned = net.add("transpose", x, axis0=0, axis1=net.long(x) or len(net.shapes[x]) - 1)
    return net.add("linear", turned, out_features=net.pick(1, 2))


@block
def _shuffled(net: Signal, x: str) -> str:
    at = net.long(x)
    n = net.shapes[x][at]
    if at or n % 2:
        return net.along("split", x, sections=n // 2 + 1, index=0)
    return net.add("channel_shuffle", x, groups=net.pick(2, n // 2))
