"""Rules of users for PyTorch: operators, modules as one node, and docs/rules.md, whose rules a brute force confirms."""

import numpy as np
import pytest

import fastrf
from fastrf.ops import dense, rules
from tests import snippets

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
onnx = pytest.importorskip("onnx")
nn = torch.nn
attention = pytest.importorskip("torch.nn.attention.flex_attention")

pytestmark = pytest.mark.usefixtures("rules_of_one_test")


@torch.library.custom_op("fastrf_tests::mix", mutates_args=())
def mix(x: torch.Tensor, window: int, scale: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """The sum of each window of the last axis."""
    parts = x.unflatten(-1, (-1, window))
    return (parts.sum(-1, keepdim=True) * scale).expand_as(parts).flatten(-2).contiguous()


@mix.register_fake
def _(x, window, scale, order):
    return torch.empty_like(x)


class Function(nn.Module):
    """A function as a model."""

    def __init__(self, function, *parts):
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts)
        self.register_buffer("order", torch.tensor([1, 0]))

    def forward(self, x):
        return self.function(x, self.order, *self.parts)


def windows(x, window):
    """The rule of the operator above."""
    return x.reshape((*x.shape[:-1], -1, window)).couple(-1).reshape(x.shape)


def reads(field, *neuron):
    """What a neuron depends on."""
    return np.argwhere(field.neuron_mask(neuron)).tolist()


def test_an_operator_with_constants():
    @fastrf.rule("fastrf_tests::mix")
    def rule(x, window, scale, *, order):
        assert (window, scale.shape, order) == (2, (1, 3), (1, 0))
        return windows(x, window).union(scale.reduce().broadcast_to(x.shape))

    model = Function(lambda x, order: mix(x, 2, torch.ones(1, 3).sum(1, keepdim=True).expand(1, 3), order)[..., :4])
    field = fastrf.analyze(model, (3, 4)).output
    assert field.exact
    assert reads(field, 1, 2) == [[1, 2], [1, 3]]


def test_the_batch_is_not_guessed():
    def folded(x, order):
        return mix(x.reshape(2, 1, 3, 4), 2, order[:1], order).reshape(1, 6, 4)

    fastrf.rule("fastrf_tests::mix")(windows)
    with pytest.raises(
        fastrf.UnsupportedOpError, match=r"node 'mix': the rule .* \(2, 1, 3, 4\) is no batch of 1; say"
    ):
        fastrf.load(Function(folded), (6, 4))
    assert fastrf.analyze(Function(folded), (6, 4), on_unsupported="full").output.approximate_at == ("mix",)
    shapes = []
    for batch in (True, False):
        fastrf.rule("fastrf_tests::mix", batch=batch)(lambda x, window: shapes.append(x.shape) or windows(x, window))
        assert reads(fastrf.analyze(Function(folded), (6, 4)).output, 4, 1) == [[4, 0], [4, 1]]
    assert set(shapes) == {(1, 3, 4), (2, 1, 3, 4)}


def test_shapes_must_be_those_of_the_operator():
    fastrf.rule("fastrf_tests::mix")(lambda x: x.reduce(0))
    with pytest.raises(fastrf.NetworkError, match=r"makes a tensor of shape \(1, 4\), the operator one of \(1, 3, 4\)"):
        fastrf.load(Function(lambda x, order: mix(x, 2, order[:1], order)), (3, 4))


class Sliding(nn.Module):
    """Windows of 1 to both sides, and a global first token, by flex_attention."""

    def __init__(self):
        super().__init__()
        self.mask = attention.create_block_mask(
            lambda _, __, q, k: (abs(q - k) <= 1) | (k == 0), None, None, 8, 8, device="cpu"
        )

    def forward(self, x):
        """One head."""
        return attention.flex_attention(x[None], x[None], x[None], block_mask=self.mask)[0]


@pytest.mark.skipif(not hasattr(attention, "AuxOutput"), reason="flex_attention returns other tensors before 2.9")
def test_an_operator_that_takes_functions():
    @fastrf.rule("flex_attention", channel_axis=-1)
    def sliding(query, key, value):
        row, column = np.indices((8, 8))
        mask = (abs(row - column) <= 1) | (column == 0)
        seen = dense.attention(query, key, value, mask=mask.tolist())
        return seen, seen.reduce(-1), seen.reduce(-1)

    assert np.flatnonzero(fastrf.analyze(Sliding(), (8, 4)).output.mask((5,))).tolist() == [0, 4, 5, 6]


def test_a_rule_comes_before_fastrf_s_own():
    fastrf.rule("aten::relu")(lambda x: windows(x, 2))
    assert reads(fastrf.analyze(Function(lambda x, _: torch.relu(x)), (3, 4)).output, 0, 3) == [[0, 2], [0, 3]]


# Modules -------------------------------------------------------------------------------------------------------------


class Mixer(nn.Module):
    """What torch.export cannot look into: two results, and control flow that depends on values."""

    def __init__(self, window):
        super().__init__()
        self.window, self.weight = window, nn.Parameter(torch.ones(3, 1))
        self.inner = nn.Linear(2, 2)

    def forward(self, x, other=None):
        """Windows, and windows with something else."""
        if x.sum() > 0:
            raise RuntimeError
        return x, x if other is None else other


def mixed(x, other=None, weight=None, *, window):
    """The rule of the module above."""
    assert weight.shape == (3, 1)
    result = windows(x, window)
    return result, result if other is None else result.union(other)


class Twice(nn.Module):
    """One mixer that is called twice, others inside others."""

    def __init__(self):
        super().__init__()
        self.first, self.second = Mixer(2), nn.Sequential(nn.Identity(), Mixer(3))

    def forward(self, x):
        """Windows of two, shifted windows of two, windows of three."""
        once, _ = self.first(x)
        twice, with_input = self.first(once.roll(1, -1), x)
        return self.second(twice)[0] + with_input


def test_a_module_is_one_node():
    fastrf.rule(Mixer)(mixed)
    model = Twice()
    before = dict(vars(model.first))
    analysis = fastrf.analyze(model, (1, 6))
    assert vars(model.first) == before
    name = f"{__name__}.Mixer"
    assert [node.op for node in analysis.network.nodes].count(name) == 4 + 2
    assert reads(analysis["first@0[0]"], 0, 3) == [[0, 2], [0, 3]]
    assert reads(analysis["first@1[0]"], 0, 3) == [[0, 0], [0, 1], [0, 2], [0, 3]]
    assert reads(analysis["first@1[1]"], 0, 0) == [[0, 0], [0, 1], [0, 4], [0, 5]]
    assert analysis["second.1[0]"].neuron_mask((0, 3)).all()
    assert fastrf.Network.from_dict(analysis.network.to_dict()) == analysis.network


def test_attributes_of_a_module_are_plain():
    given = {}
    model = Mixer(2)
    model.table, model.tensors, model.kind = np.arange(2), [torch.zeros(2), torch.ones(1)], torch.float16

    @fastrf.rule(Mixer)
    def rule(x, weight, *, table, kind):
        given.update(table=table, kind=kind, weight=weight.shape)
        return x, x

    fastrf.load(model, (1, 6))
    assert given == {"table": (0, 1), "kind": "torch.float16", "weight": (3, 1)}
    fastrf.rule(Mixer)(lambda x, *, tensors: (x, tensors))
    with pytest.raises(fastrf.UnsupportedOpError, match="'tensors' is a list of tensors; take them as"):
        fastrf.load(model, (1, 6))
    fastrf.rule(Mixer)(lambda x, *, weight: (x, weight))
    with pytest.raises(fastrf.UnsupportedOpError, match="'weight' wants values, but"):
        fastrf.load(model, (1, 6))


def test_the_model_itself_may_be_such_a_module():
    fastrf.rule(Mixer)(mixed)
    assert reads(fastrf.analyze(Mixer(2), (1, 6))["out.0"], 0, 3) == [[0, 2], [0, 3]]


def test_another_forward_needs_another_rule():
    class Other(Mixer):
        """What its inside says counts."""

        def forward(self, x):
            """Nothing is mixed."""
            return x * 2

    class Same(Mixer):
        """The same forward."""

    fastrf.rule(Mixer)(mixed)
    assert reads(fastrf.analyze(Other(2), (1, 6)).output, 0, 3) == [[0, 3]]
    assert reads(fastrf.analyze(Same(2), (1, 6))["out.0"], 0, 3) == [[0, 2], [0, 3]]


def test_rules_that_return_too_little_or_much():
    fastrf.rule(Mixer)(lambda x, window: [windows(x, window)])
    with pytest.raises(fastrf.NetworkError, match=r"values to unpack"):
        fastrf.load(Twice(), (1, 6))
    fastrf.rule("fastrf_tests::mix")(lambda x: (x, x))
    with pytest.raises(fastrf.NetworkError, match="node 'mix': the rule for fastrf_tests::mix makes 2 tensors of 1"):
        fastrf.load(Function(lambda x, order: mix(x, 2, order[:1], order)), (3, 4))
    fastrf.rule("aten::topk")(lambda x: x)
    with pytest.raises(fastrf.NetworkError, match=r"node 'topk': the rule for aten::topk .* it makes 1 of 2 tensors"):
        fastrf.load(Function(lambda x, _: torch.topk(x, 2)), (3, 4))


def test_what_such_a_module_makes_of_constants_is_not_known():
    class Table(nn.Module):
        """A table through a module with a rule, as a mask."""

        def __init__(self):
            super().__init__()
            self.make = Function(lambda x, _: x)

        def forward(self, x):
            """Zeros at places that a rule does not decide."""
            return x * self.make(torch.zeros(1, 2, 3))

    fastrf.rule(Function)(lambda x: x)
    assert reads(fastrf.analyze(Table(), (2, 3)).output, 1, 2) == [[1, 2]]


# The page ------------------------------------------------------------------------------------------------------------


def depends(run, shape, rounds):
    """bool[outputs, inputs]: what changes when one input does, in any of several rounds of random numbers."""
    found = False
    for round_ in range(rounds):
        numbers = np.random.default_rng(round_)
        base = numbers.normal(size=shape).astype(np.float32)
        size = base.size
        changed = np.repeat(base[None], size, axis=0).reshape(size, size)
        changed[np.arange(size), np.arange(size)] += 1
        results = run(np.concatenate([base[None], changed.reshape(size, *shape)]), round_).reshape(size + 1, -1)
        found = found | (results[1:] != results[0]).T
    return found


def from_torch(make):
    """The results of a model with random weights."""

    def run(x, seed):
        torch.manual_seed(seed)
        model = make()
        for parameter in model.parameters():
            nn.init.normal_(parameter)
        with torch.no_grad():
            return model(torch.tensor(x)).numpy()

    return run


def vendor(x, _):
    """The sum of every window of 4."""
    parts = x.reshape(*x.shape[:-1], -1, 4)
    return np.broadcast_to(parts.sum(-1, keepdims=True), parts.shape)


def test_the_rules_of_the_page():
    names = {}
    page = (snippets.ROOT / "docs" / "rules.md").read_text()
    assert snippets.check_python(page, names) == 5
    scan, deformed, mixed_file, router = (names[name] for name in ("Scan", "Deformed", "mixed", "Router"))
    for reverse in (False, True):
        confirm(scan(reverse), from_torch(lambda reverse=reverse: scan(reverse)), (2, 5), 2)
    confirm(deformed(), from_torch(deformed), (1, 6, 7), 30)
    confirm(mixed_file, vendor, (2, 12), 1)
    confirm(router(2), from_torch(lambda: router(2)), (6, 3), 2)
    assert set(rules.RULES) == {
        "my_ext::window_mix",
        "my_ext::decayed_scan",
        "torchvision::deform_conv2d",
        "com.vendor::WindowMix",
        f"{router.__module__}.Router",
    }


def confirm(source, run, shape, rounds):
    """That the field of the output is what a brute force finds."""
    field = fastrf.analyze(source, shape).output
    assert (field.to_csr(channels=True).toarray() == depends(run, shape, rounds)).all()
