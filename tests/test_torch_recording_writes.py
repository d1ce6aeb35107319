"""Modules that write into tensors, and into what shares memory with these: recorded, and disturbed one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastrf

torch = pytest.importorskip("torch")
nn, functional = torch.nn, torch.nn.functional

Step = Callable[[list[Any]], Any]
SHAPE = (2, 6)


class Written(nn.Module):
    """A weight, a buffer that was written to before, a linear layer, and a function of the module and the input."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.rand(SHAPE, generator=generator) + 0.5)
        self.linear = nn.Linear(6, 6)
        for parameter in self.linear.parameters():
            parameter.data = torch.rand(parameter.shape, generator=generator) + 0.1
        self.register_buffer("ones", torch.zeros(6))
        self.register_buffer("none", torch.zeros(6, dtype=torch.bool))
        self.ones.fill_(1)
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(self, x)


def disturbed(function: Callable[..., Any]) -> np.ndarray[Any, Any]:
    """Which outputs change, in their last bit, with each input."""
    changes = []
    for seed in range(2):
        x = torch.rand((1, *SHAPE), generator=torch.Generator().manual_seed(seed)) + 0.3
        with torch.no_grad():
            before = Written(function)(x.clone()).double()
            others = []
            for k in range(x.numel()):
                other = x.clone()
                other.view(-1)[k] += 0.37
                others.append((Written(function)(other).double() != before).reshape(-1))
        changes.append(torch.stack(others, 1).numpy())
    return np.logical_or(*changes)


def recorded(function: Callable[..., Any], capture: str = "record") -> fastrf.ReceptiveField:
    """The field of a module that is left as it was."""
    net = Written(function)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    field = fastrf.analyze(net, SHAPE, capture=capture).output
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    return field


def assert_true(field: fastrf.ReceptiveField, function: Callable[..., Any]) -> None:
    """The field is what disturbing the input shows; more of it only where it says so."""
    found, true = field.to_csr(channels=True).toarray() != 0, disturbed(function)
    assert found.shape == true.shape
    assert (found >= true).all()
    assert not field.exact or (found == true).all()


# Random programs -----------------------------------------------------------------------------------------


def drawn_step(rng: np.random.Generator, pool: list[Any]) -> Step:
    """A view of one tensor of the pool, something computed, or a write; it may fail."""
    k, j = (int(n) for n in rng.integers(len(pool), size=2))
    axes = pool[k].dim()
    dim, other = (int(n) for n in rng.integers(max(axes, 1), size=2))
    length = pool[k].shape[dim] if axes else 1
    a, b = sorted(int(n) for n in rng.integers(length + 1, size=2))
    step, size, v = int(rng.integers(1, 3)), int(rng.integers(1, 4)), round(float(rng.uniform(0.3, 1.3)), 2)
    part = (slice(None),) * dim + (slice(a, b, step),)
    chosen = torch.from_numpy(np.asarray(rng.random(tuple(pool[k].shape)) < 0.5))

    def views(p: list[Any]) -> list[Callable[[], Any]]:
        x = p[k]
        return [
            *(lambda: x[part], lambda: x.select(dim, a), lambda: x.transpose(dim, other), lambda: x.reshape(-1)),
            *(x.flatten, lambda: x.unsqueeze(dim), x.squeeze, lambda: x.expand(2, *x.shape)),
            *(lambda: x.diagonal(0, dim, other), lambda: x.unfold(dim, size, size), lambda: x.movedim(dim, other)),
            *(lambda: x.chunk(size, dim)[-1], lambda: x.split(size, dim)[0], lambda: x.unbind(dim)[-1]),
            *(
                lambda: x.tensor_split([a, b], dim)[1],
                lambda: x.narrow(dim, a, b - a),
                lambda: x.as_strided((2,), (2,)),
            ),
            *(x.detach, lambda: x.data, lambda: x[...], x.contiguous, lambda: x.to(torch.float32)),
            *(lambda: x.transpose(dim, other).contiguous(), lambda: x.view(-1, size), lambda: x.expand_as(p[j])),
            *(lambda: torch.broadcast_tensors(x, p[j])[0], lambda: functional.dropout(x, training=False)),
        ]

    def computed(p: list[Any]) -> list[Callable[[], Any]]:
        x = p[k]
        return [
            *(lambda: x * v + 0.1, lambda: x + v * p[j], x.tanh, lambda: torch.cat([x, p[j]], dim)),
            *(lambda: x.cumsum(dim), lambda: x.flip(dim), lambda: torch.where(chosen, x, v), lambda: x[chosen]),
            *(x.clone, lambda: torch.zeros_like(x), lambda: torch.ones(2, 3), lambda: x.sum(dim)),
        ]

    def writes(p: list[Any]) -> list[Callable[[], Any]]:
        x, y = p[k], p[j]
        return [
            *(lambda: x.add_(y, alpha=v), lambda: x.mul_(v), lambda: x.copy_(y), lambda: x.fill_(v), x.zero_),
            *(lambda: x.__setitem__(part, y * v), lambda: x.__setitem__(part, v), lambda: x.__setitem__(chosen, v)),
            *(lambda: x.masked_fill_(chosen, v), lambda: x.index_fill_(dim, torch.tensor([a]), v), x.tanh_),
            *(lambda: x.copy_(x.flip(dim)), lambda: x.copy_((y * 10).double()), lambda: x.data.add_(y, alpha=v)),
            *(lambda: x.cumsum_(dim), lambda: x.put_(torch.tensor([a]), y.reshape(-1)[:1]), x.tril_),
            *(lambda: x.select(dim, 0).copy_(x.select(dim, -1)), lambda: setattr(x, "data", y.data * v)),
            *(lambda: x.fill_(y.sum()), lambda: x.addcmul_(y, y), lambda: x.scatter_(dim, chosen.long(), x.flip(dim))),
        ]

    kind = [views, writes, views, computed, writes][int(rng.integers(5))]
    which = int(rng.integers(len(kind(pool))))

    def run(p: list[Any]) -> None:
        made = kind(p)[which]()
        if kind is not writes:
            p.append(made)

    return run


def program(rng: np.random.Generator, length: int) -> Callable[..., Any]:
    """A function of so many steps, each of which runs."""
    steps: list[Step] = []
    net = Written(lambda *_: None)

    def pool_of(net: Any, x: Any) -> list[Any]:
        return [x * 1.5, net.weight, net.ones, torch.zeros(1, *SHAPE)]

    pool = pool_of(net, torch.rand(1, *SHAPE))
    with torch.no_grad():
        while len(steps) < length:
            step, before = drawn_step(rng, pool), len(pool)
            try:
                step(pool)
            except (RuntimeError, IndexError, ValueError, TypeError):
                continue
            if len(pool) > before and pool[-1].numel() > 40:
                pool.pop()
            else:
                steps.append(step)

    def function(net: Any, x: Any) -> Any:
        pool = pool_of(net, x)
        for step in steps:
            step(pool)
        return torch.cat([tensor.reshape(-1).double() for tensor in pool])[None]

    return function


@pytest.mark.parametrize("rng", range(4), indirect=True)
def test_random_writes_are_followed_or_refused(rng: np.random.Generator) -> None:
    followed = 0
    for _ in range(8):
        function = program(rng, 6)
        try:
            field = recorded(function)
        except fastrf.NetworkError as error:
            assert "try capture='export'" in str(error)  # noqa: PT017  (a few may be refused)
        except fastrf.UnsupportedOpError:
            pass
        else:
            followed += 1
            assert_true(field, function)
    assert followed > 4


# One kind each -------------------------------------------------------------------------------------------


def buffer_with_a_version(net: Any, x: Any) -> Any:
    first = x * net.ones
    net.ones[:4] = 0
    second = x * net.ones
    net.ones[5] = 0
    return torch.cat([first, second, x * net.ones], 1)


def constant_through_data(_net: Any, x: Any) -> Any:
    table = torch.ones(6)
    first = x * table
    table.data[:4] = 0
    return torch.cat([first, x * table], 1)


def constant_through_an_array(_net: Any, x: Any) -> Any:
    table = torch.ones(6)
    first = x * table
    table.numpy()[:4] = 0
    return torch.cat([first, x * table], 1)


def array_beneath_a_constant(_net: Any, x: Any) -> Any:
    numbers = np.ones(6, np.float32)
    table = torch.from_numpy(numbers)
    first = x * table
    numbers[:4] = 0
    return torch.cat([first, x * table], 1)


def truths_of_a_buffer(net: Any, x: Any) -> Any:
    net.none[2:4] = True
    y = x * 2
    y[..., net.none] = 0
    return y


def numbers_of_a_buffer(net: Any, x: Any) -> Any:
    net.ones[0] = 3
    return x[..., : int(net.ones.tolist()[0])] + x[..., int(net.ones.numpy()[0]) :]


def other_data(net: Any, x: Any) -> Any:
    y = x * 1
    y.data = y.data.flip(-1)
    net.ones.data = x[0, 0].clone()
    net.linear.weight.data = net.linear.weight.data * torch.eye(6)
    return net.linear(y) * net.ones


def data_of_a_result(_net: Any, x: Any) -> Any:
    y = x * 1
    y.data[..., 0] = 0
    z = y.data
    y += x.flip(-1)
    return z


def strides_of_another_order(_net: Any, x: Any) -> Any:
    y = (x * 1).transpose(1, 2)
    y.as_strided((2, 2), (1, 6)).zero_()
    return y


def views_of_several(_net: Any, x: Any) -> Any:
    y = x * 1
    a, b = torch.broadcast_tensors(y[:, 0:1], y[:, 1:2, :1])
    y[:, 1] = 0
    return torch.cat([a, b], 1)


def constant_of_the_type_of_a_result(_net: Any, x: Any) -> Any:
    table = torch.ones(6)
    table.type_as(x)[:2] = 0
    return table * x


def packed(_net: Any, x: Any) -> Any:
    torch.manual_seed(0)
    layer = nn.GRU(2, 3, batch_first=True, bidirectional=True)
    rows = nn.utils.rnn.pack_padded_sequence(x.transpose(1, 2), [4], batch_first=True)
    return nn.utils.rnn.pad_packed_sequence(layer(rows)[0], batch_first=True, total_length=6)[0]


def packed_side_by_side(_net: Any, x: Any) -> Any:
    torch.manual_seed(0)
    layer = nn.LSTM(1, 2, batch_first=True, num_layers=2)
    lengths = torch.tensor([3, 5])
    rows = nn.utils.rnn.pack_padded_sequence(x[0].unsqueeze(2), lengths, batch_first=True, enforce_sorted=False)
    output, (hidden, _) = layer(rows)
    return torch.cat([nn.utils.rnn.pad_packed_sequence(output, batch_first=True)[0].reshape(-1), hidden.reshape(-1)])[
        None
    ]


def a_dropout_that_does_nothing(_net: Any, x: Any) -> Any:
    picture = x.reshape(1, 2, 2, 3).to(memory_format=torch.channels_last)
    y = functional.conv2d(picture, torch.ones(2, 2, 1, 1))
    return functional.dropout(y.flatten(1), 0.5, training=False, inplace=True)


KINDS = [
    a_dropout_that_does_nothing,
    *(buffer_with_a_version, constant_through_data, constant_through_an_array, array_beneath_a_constant),
    *(truths_of_a_buffer, numbers_of_a_buffer, other_data, data_of_a_result, strides_of_another_order),
    *(views_of_several, constant_of_the_type_of_a_result, packed, packed_side_by_side),
]


@pytest.mark.parametrize("function", KINDS, ids=lambda function: function.__name__)
def test_what_shares_memory_is_followed(function: Callable[..., Any]) -> None:
    assert_true(recorded(function), function)


def half_of_complex_numbers(_net: Any, x: Any) -> Any:
    y = torch.fft.fft(x)
    y.real[..., 1:] = 0
    return y.abs()


def overlapping(_net: Any, x: Any) -> Any:
    y = x[:, :1] * 1
    y.expand(1, 3, 6).index_put_((torch.tensor([0]), torch.tensor([1])), torch.tensor(0.0))
    return y


def as_kernels_lay_it_out(_net: Any, x: Any) -> Any:
    picture = x.reshape(1, 2, 2, 3).to(memory_format=torch.channels_last)
    y = functional.conv2d(picture, torch.ones(2, 2, 1, 1))
    y.reshape(-1)[:3] = 0
    return y


def shape_of_a_buffer(net: Any, x: Any) -> Any:
    net.ones.unsqueeze_(0)
    return x * net.ones


@pytest.mark.parametrize(
    "function",
    [half_of_complex_numbers, overlapping, as_kernels_lay_it_out, shape_of_a_buffer],
    ids=lambda function: function.__name__,
)
def test_what_is_shared_in_other_ways_is_refused(function: Callable[..., Any]) -> None:
    with pytest.raises(fastrf.NetworkError, match=r"written through|may share|others share"):
        recorded(function)


# What is read --------------------------------------------------------------------------------------------


def test_what_values_were_read_from_is_told() -> None:
    told = "the control flow of the model, and numbers that it reads from tensors, are those of "

    def assumed(function: Callable[..., Any]) -> tuple[str, ...]:
        return tuple(text.removeprefix(told) for text in recorded(function).assumes)

    assert assumed(lambda _, x: x * (1 + float(x.sum()))) == ("an input of zeros",)
    assert assumed(lambda net, x: x if net.weight.sum() > 0 else -x) == ("the weights as they are",)
    assert assumed(lambda _, x: x if torch.rand(()) > 2 else -x) == ("numbers as they were drawn once",)
    assert assumed(lambda net, x: x * net.ones.tolist()[0] * net.ones.sum().item()) == ()

    def written(_net: Any, x: Any) -> Any:
        table = torch.ones(6)
        table[0] = x.sum()
        return x[..., : 1 + len(table.long().tolist())]

    assert assumed(written) == ("an input of zeros",)


@pytest.mark.parametrize(
    "function",
    [
        lambda _, x: torch.from_numpy(x.detach().cpu().numpy()).cumsum(-1),
        lambda _, x: x + torch.tensor((x * 2).tolist()),
        lambda _, x: x + torch.as_tensor(np.asarray(x).max()),
    ],
)
def test_a_map_that_leaves_torch_is_refused(function: Callable[..., Any]) -> None:
    with pytest.raises(fastrf.UnsupportedOpError, match=r"takes a map .* out of torch .* keep it in torch"):
        recorded(function)


def test_other_threads_use_torch_as_ever() -> None:
    import threading

    told: list[Any] = []

    def beside() -> None:
        table = torch.ones(3)
        table.data = torch.zeros(3)
        told.append((table.tolist(), table.numpy().sum(), table.data.sum()))

    def function(_net: Any, x: Any) -> Any:
        thread = threading.Thread(target=beside)
        thread.start()
        thread.join()
        return x * 2

    assert_true(recorded(function), function)
    assert told[0] == ([0, 0, 0], 0, 0)
    assert "data" not in vars(torch.Tensor)
