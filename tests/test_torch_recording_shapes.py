"""What a recording run takes results to be like without asking torch: shape, type, and whether memory is shared."""

from __future__ import annotations

import numpy as np
import pytest

import fastrf

torch = pytest.importorskip("torch")
pytest.importorskip("fastrf.frontends.torch")


def analysed(forward, shape, capture="record"):
    module = torch.nn.Module()
    module.forward = forward
    return fastrf.analyze(module, shape, capture=capture).output


def test_equal_numbers_of_two_types_make_results_of_two_types():
    def forward(x):
        whole = x.long()
        kinds = [(whole + 1).dtype, (whole + 1.0).dtype, (whole + True).dtype]
        assert kinds == [torch.int64, torch.float32, torch.int64]
        return x

    assert analysed(forward, (3, 4)).exact


def test_what_is_written_into_a_view_that_einsum_made_is_not_lost():
    def forward(x):
        x = x + 0
        _, turned = (torch.einsum("bij->bji", x) for _ in range(2))
        turned[:, 1] = 0
        return x

    with pytest.raises(fastrf.NetworkError, match="cannot be recorded"):
        analysed(forward, (3, 4))
    exported = analysed(forward, (3, 4), "export")
    assert exported.neuron_mask((1, 2)).sum() == 1
    assert exported.neuron_mask((2, 1)).sum() == 0


@pytest.mark.parametrize("dim", [1, -3])
def test_tensors_are_joined_along_one_axis(dim):
    def forward(x):
        joined = torch.cat([x, x[:, :1].contiguous(), x], dim)
        like = torch.cat([torch.zeros(x.shape), torch.zeros(1, 1, 4, 5), torch.zeros(x.shape)], dim)
        assert (joined.shape, joined.stride(), joined.dtype) == (like.shape, like.stride(), like.dtype)
        return joined

    field = analysed(forward, (3, 4, 5))
    assert field.shape == (7, 4, 5)
    assert np.argwhere(field.neuron_mask((3, 2, 1))).tolist() == [[0, 2, 1]]


@pytest.mark.parametrize(("others", "dim"), [([(1, 3, 4, 5)], 4), ([(1, 3, 4, 6)], 1)])
def test_what_cannot_be_joined_is_the_models_own_error(others, dim):
    with pytest.raises(fastrf.FastRFError, match="fails in its own forward"):
        analysed(lambda x: torch.cat([x, *(x.new_zeros(other) for other in others)], dim), (3, 4, 5))


def test_an_operator_that_tells_no_shape_without_data_is_run_on_ones():
    window = torch.hann_window(4)

    def forward(x):
        waves = torch.stft(x[0], 4, 2, window=window, return_complex=True)
        return torch.istft(waves, 4, 2, window=window)

    recorded, exported = (analysed(forward, (1, 16), capture) for capture in ("record", "export"))
    assert recorded.shape == exported.shape == (16,)
    assert recorded.dependency == exported.dependency
    assert recorded.areas().tolist()[2:5] == [3, 5, 3]


def test_the_imaginary_part_of_padding_is_zero():
    def forward(x):
        pad = torch.nn.functional.pad
        return pad(torch.complex(x, x), (0, 2)).imag * pad(x, (2, 0))

    assert analysed(forward, (1, 6)).areas().tolist() == [0, 0, 2, 2, 2, 2, 0, 0]
