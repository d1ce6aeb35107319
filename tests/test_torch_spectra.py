"""Filters by way of Fourier transforms: what they read, by gradients and by the definition of a convolution."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastrf

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.fft import (  # noqa: E402
    fft,
    fftn,
    fftshift,
    hfft,
    ifft,
    ifftn,
    ifftshift,
    ihfft,
    irfft,
    irfft2,
    rfft,
    rfft2,
)

from tests.autograd.cases import Weighted  # noqa: E402

pad = nn.functional.pad


def product(x, k, n, **how):
    """A filter on the last axis, circular over n."""
    return irfft(rfft(x, n=n, **how) * rfft(k, n=n, **how), n=n, **how)


def spectrum(x):
    return rfft(x, n=32)


def correlation(x, k):
    """A filter of an image, conjugated."""
    return irfft2(rfft2(x) * rfft2(k, s=(6, 7)).conj() / 7, s=(6, 7))


def over_both(x, k):
    return ifftn(fftn(x, dim=(2, 3)) * fftn(k, s=(6, 7)), dim=(2, 3)).real


def mixing(x, k):
    return irfft(torch.einsum("bcl,dcl->bdl", spectrum(x), spectrum(k)))[..., :16]


def weighted(x, w):
    return irfft(rfft(x) * w, n=16)


def low(x):
    spectrum = rfft(x)
    spectrum[..., 3:] = 0
    return irfft(spectrum, n=16)


def few(x, w):
    """Weights of the lowest frequencies, as neural operators have them."""
    mixed = torch.zeros(1, 3, 9, dtype=torch.cdouble)
    mixed[..., :4] = torch.einsum("bim,iom->bom", rfft(x)[..., :4], w.to(torch.cdouble))
    return irfft(mixed, n=16)


def squared(x):
    half = spectrum(x)
    return irfft(half * half)[..., :16]


def complex_product(x, k, n):
    return ifft(fft(x, n) * fft(k, n)).real


#: Functions of x and of weights, the shape of x, and those of the weights.
EXACT: dict[str, tuple[Any, ...]] = {
    "long convolution": (lambda x, k: product(x, k, 32)[..., :16], (2, 16), (2, 16)),
    "short filter": (lambda x, k: product(x, k, 31)[..., :16], (2, 16), (5,)),
    "padded by hand": (lambda x, k: irfft(rfft(pad(x, (0, 16))) * rfft(pad(k, (0, 27))))[..., :16], (2, 16), (5,)),
    "around the ends": (lambda x, k: product(x, k, 16, norm="ortho"), (2, 16), (5,)),
    "scaled": (lambda x, k: irfft(rfft(x) * (rfft(k, n=16) / 16), n=16, norm="forward"), (2, 16), (5,)),
    "scaled by channel": (lambda x, k, a: irfft(rfft(x) * (rfft(k, n=16) * a), n=16), (2, 16), (2, 5), (2, 1)),
    "correlation": (lambda x, k: irfft(rfft(x) * rfft(k, n=16).conj(), n=16), (2, 16), (5,)),
    "centred": (lambda x, k: product(x, torch.roll(pad(k, (0, 11)), -2), 16), (2, 16), (5,)),
    "far behind": (lambda x, k: product(x, pad(k, (9, 0)), 16), (2, 16), (5,)),
    "far ahead": (lambda x, k: irfft(rfft(x) * rfft(pad(k, (9, 0)), n=16).conj(), n=16), (2, 16), (5,)),
    "whole spectra": (lambda x, k: complex_product(x, k, 32)[..., :16], (2, 16), (7,)),
    "cut to fewer samples": (lambda x, k: product(x, k, 10), (2, 16), (12,)),
    "one signal, many filters": (lambda x, k: product(x, k, 32)[..., :16], (1, 16), (4, 3)),
    "with a skip": (lambda x, k: product(x, k, 32)[..., :16] + x * k[:, :1], (2, 16), (2, 16)),
    "image": (lambda x, k: irfft2(rfft2(x) * rfft2(k, s=(6, 7)), s=(6, 7)), (2, 6, 7), (3, 2)),
    "image, correlated": (correlation, (2, 6, 7), (3, 2)),
    "image, whole spectra": (over_both, (2, 6, 7), (3, 2)),
    "there and back": (lambda x: irfft(rfft(x) * 2, n=16), (2, 16)),
    "low frequencies": (lambda x: irfft(rfft(x)[..., :4], n=16), (2, 16)),
    "weights of frequencies": (lambda x, k: irfft(rfft(x) * k, n=16), (2, 16), (9,)),
    "shorter than its spectrum": (lambda x, k: irfft(rfft(x) * k, n=11), (2, 16), (9,)),
    "half of the conjugate": (lambda x, k: hfft(ihfft(x, n=12) * ihfft(k, n=12), n=12)[..., :6], (2, 6), (2, 4)),
    "whole spectra, a complex gain": (lambda x, k: complex_product(x, k * (1 + 2j), 16), (2, 16), (5,)),
    "bent": (lambda x: irfft(torch.view_as_complex(torch.tanh(torch.view_as_real(rfft(x)))), n=8), (1, 8)),
    "filters in a row": (lambda x, k, q: product(product(x, k, 16), q, 16), (2, 16), (3,), (2,)),
    "weights of frequencies, twice": (lambda x, w, v: weighted(weighted(x, w) + x, v), (2, 16), (9,), (9,)),
    "low frequencies, in place": (low, (2, 16)),
    "few frequencies, mixed": (few, (2, 16), (2, 3, 4)),
    "autocorrelation": (lambda x: irfft(rfft(x) * rfft(x).conj(), n=16), (2, 16)),
}  # fmt: skip

#: Products of spectra of which more is said than is read: listed as approximate.
SUPERSETS: dict[str, tuple[Any, ...]] = {
    "holes": (lambda x, k: product(x, k * torch.tensor([1.0, 0, 0, 1]), 16), (2, 16), (4,)),
    "filters added": (lambda x, k, q: irfft(spectrum(x) * (spectrum(k) + spectrum(q)))[..., :16], (2, 16), (5,), (3,)),
    "two filters": (lambda x, k, q: irfft(spectrum(x) * spectrum(k) * spectrum(q))[..., :16], (2, 16), (5,), (3,)),
    "mixing channels": (mixing, (2, 16), (3, 2, 5)),
    "a complex gain": (lambda x, g: irfft(rfft(x) * torch.complex(g, 2 * g), n=16), (2, 16), (2, 1)),
    "a gain of i": (lambda x: irfft(rfft(x) * 1j, n=16), (2, 16)),
    "the even part": (lambda x: irfft(rfft(x).real, n=8), (1, 8)),
    "a filter without phase": (lambda x, k: irfft(rfft(x) * rfft(k, n=16).real, n=16), (2, 16), (5,)),
    "a filter by the inverse": (lambda x, k: irfft(spectrum(x) * ifft(k, n=32)[..., :17])[..., :16], (2, 16), (3,)),
    "time reversed": (lambda x: irfft(rfft(x).conj(), n=8), (1, 8)),
    "shifted twice": (lambda x: ifft(ifftshift(fftshift(fft(x)))).real, (1, 8)),
    "transformed twice": (lambda x: fft(fft(x)).real, (1, 8)),
    "weights of rows alone": (lambda x, w: irfft2(rfft2(x) * w[:, None], s=(6, 8)), (1, 6, 8), (6,)),
    "both axes, and one back": (lambda x: ifft(fftn(x, dim=(1, 2))).real, (3, 4)),
    "turned between": (lambda x: ifft(fft(x, dim=1).mT).real, (4, 4)),
    "padded square": (squared, (1, 16)),
    "padded autocorrelation": (lambda x: irfft(spectrum(x) * spectrum(x).conj()), (2, 16)),
}  # fmt: skip


def read_by(model: nn.Module, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Which elements of the output depend on which of the input, by gradients for some weights and inputs."""
    found = []
    for _ in range(2):
        for weight in model.parameters():
            nn.init.uniform_(weight, 0.1, 1.0)
        x = torch.rand(1, *shape, dtype=torch.float64)
        jacobian = torch.autograd.functional.jacobian(lambda x: model(x)[0].flatten(), x)
        found.append(jacobian.flatten(1).abs().numpy() > 1e-9)
    return np.logical_or(*found)


def both(function: Any, shape: tuple[int, ...], weights: list[tuple[int, ...]], capture: str) -> tuple[Any, Any, bool]:
    """What is said to depend on what, what does by gradients, and whether the first is said to be exact."""
    model = Weighted(function, *weights).double()
    field = fastrf.analyze(model, shape, capture=capture).output
    return field.to_csr(channels=True).toarray() > 0, read_by(model, shape), field.exact


@pytest.mark.parametrize("capture", ["record", "export"])
@pytest.mark.parametrize("form", EXACT)
def test_what_a_product_of_spectra_reads(form, capture):
    function, shape, *weights = EXACT[form]
    said, read, exact = both(function, shape, weights, capture)
    assert exact
    assert np.array_equal(said, read)


@pytest.mark.parametrize("capture", ["record", "export"])
@pytest.mark.parametrize("form", SUPERSETS)
def test_what_may_read_less_is_listed(form, capture):
    function, shape, *weights = SUPERSETS[form]
    said, read, exact = both(function, shape, weights, capture)
    assert not exact
    assert said[read].all()


@pytest.mark.parametrize("turned", [False, True])
def test_taps_around_a_circle(rng, turned):
    for _ in range(6):
        n = int(rng.integers(4, 20))
        count = int(rng.integers(1, n + 1))
        first = int(rng.integers(0, n))
        taps = np.arange(first, first + count) % n
        used = np.zeros(n)
        used[taps] = 1
        places = torch.from_numpy(used)

        def function(x, k, places=places, n=n):
            spectrum = rfft(k * places)
            return irfft(rfft(x) * (spectrum.conj() if turned else spectrum), n=n)

        field = fastrf.analyze(Weighted(function, (n,)).double(), (1, n)).output
        wanted = np.zeros((n, n), bool)
        for sample in range(n):
            wanted[sample, (sample + taps if turned else sample - taps) % n] = True
        assert field.exact
        assert np.array_equal(field.to_csr().toarray() > 0, wanted)


def test_a_long_convolution_is_causal():
    n = 1 << 15
    model = Weighted(lambda x, k: product(x, k, 2 * n)[..., :n], (2, n))
    field = fastrf.analyze(model, (2, n)).output
    assert (field.is_causal(), field.lookahead(), field.exact) == (True, 0, True)


def test_imaginary_constants_are_not_zero():
    table = torch.tensor([1j, 0, 1, 2 + 1j])
    by_table = Weighted(lambda x: torch.view_as_real(x.to(table.dtype) * table).sum(-1))
    by_matrix = Weighted(lambda x: (x.to(table.dtype) @ torch.diag(table)).abs())
    for model in (by_table, by_matrix):
        field = fastrf.analyze(model, (1, 4)).output
        assert np.array_equal(field.to_csr(channels=True).toarray() > 0, np.diag([True, False, True, True]))


def test_statistics_of_an_image_tell_its_channels():
    field = fastrf.analyze(nn.BatchNorm1d(3, track_running_stats=False), (3, 9)).output
    assert (field.channel_axis, field.size) == (0, (np.inf,))
