"""Zeros after operators that make nothing but zeros of zeros: what is multiplied by them is not read."""

from __future__ import annotations

import pytest

import fastrf

torch = pytest.importorskip("torch")

F = torch.nn.functional


def seeded(kind, *args, **more):
    torch.manual_seed(0)
    return kind(*args, bias=False, **more).requires_grad_(False)


CONV = seeded(torch.nn.Conv2d, 3, 3, 3, padding=1)
GROUPED = seeded(torch.nn.Conv2d, 3, 3, 3, padding=2, groups=3)
UP = seeded(torch.nn.ConvTranspose2d, 3, 3, 2, 2)
DENSE = seeded(torch.nn.Linear, 8, 8)
INDEX = [7, 0, 1, 2, 3, 4, 5, 6]

#: Each makes of (1, 3, 8, 8) a map whose zeros are those of what it reads.
OPERATORS = {
    "conv": CONV,
    "wide padding": lambda t: GROUPED(t)[..., :8, :8],
    "frames in the batch": lambda t: CONV(t.permute(2, 1, 0, 3)).permute(2, 1, 0, 3),
    "transposed": lambda t: UP(t)[..., ::2, ::2],
    "linear": DENSE,
    "nearest": lambda t: F.interpolate(t, scale_factor=2)[..., :8, :8],
    "bilinear": lambda t: F.interpolate(t, scale_factor=2, mode="bilinear")[..., :8, :8],
    "bicubic": lambda t: F.interpolate(t, scale_factor=0.5, mode="bicubic"),
    "average": lambda t: F.avg_pool2d(t, 2),
    "maximum": lambda t: F.max_pool2d(t, 2),
    "adaptive": lambda t: F.adaptive_avg_pool2d(t, 1),
    "adaptive maximum": lambda t: F.adaptive_max_pool2d(t, 4),
    "power": lambda t: F.lp_pool2d(t, 2, 2),
    "sum": lambda t: t.sum((2, 3), keepdim=True),
    "largest": lambda t: t.max(1, keepdim=True)[0],
    "running sum": lambda t: t.cumsum(-1),
    "local response": lambda t: F.local_response_norm(t, 2),
    "index": lambda t: t[..., INDEX],
    "one or the other": lambda t: torch.where(t > 0, t, -t),
    "several": lambda t: F.interpolate(CONV(F.avg_pool2d(t, 2)), scale_factor=2),
    "product": lambda t: t.prod(2, keepdim=True),
    "running product": lambda t: t.cumprod(-1),
    "columns": lambda t: F.fold(F.unfold(t, 2, stride=2), (8, 8), 2, stride=2),
    "gated": lambda t: F.glu(torch.cat([t, t], 1), 1),
}


class Product(torch.nn.Module):
    """An operator on a half-masked `u`, times `x`."""

    def __init__(self, operator):
        super().__init__()
        self.operator = operator

    def forward(self, u, x):
        t = self.operator(u * self.mask())
        return t * x[..., : t.shape[2], : t.shape[3]]

    @staticmethod
    def mask():
        right = torch.zeros(1, 3, 8, 8).index_fill(3, torch.arange(4, 8), 1.0)
        return right * torch.tensor([0.0, 1, 1]).reshape(1, 3, 1, 1)


def read_rows(source):
    field = fastrf.analyze(source, {"u": (3, 8, 8), "x": (3, 8, 8)}, wrt="x").output
    assert field.exact
    return (field.to_csr(channels=True).sum(1) > 0).reshape(field.shape)


def wanted(model):
    ones = torch.rand(1, 3, 8, 8) + 0.5
    return (model(ones, ones) != 0)[0].numpy()


@pytest.mark.parametrize("name", OPERATORS)
def test_a_factor_of_a_torch_model_is_not_read_where_zeros_make_zeros(name):
    model = Product(OPERATORS[name]).eval()
    assert (read_rows(model) == wanted(model)).all()


def test_a_bias_is_no_zero():
    model = Product(torch.nn.Conv2d(3, 3, 3, padding=1)).eval()
    assert read_rows(model).all()
