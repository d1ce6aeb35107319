"""Networks of whole numbers that stream: float64 holds all that they make, so parts must equal the whole."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class Fold(nn.Module):
    """Brings whole numbers back to 0 .. n - 1, so that they stay exact however deep the network is."""

    def __init__(self, n=5):
        super().__init__()
        self.n = n

    def forward(self, x):
        return torch.remainder(x, self.n)


class Causal(nn.Module):
    """A convolution that is padded on the left only."""

    def __init__(self, given, made, kernel, dilation=1, stride=1):
        super().__init__()
        self.left = (kernel - 1) * dilation + 1 - stride
        self.conv = nn.Conv1d(given, made, kernel, dilation=dilation, stride=stride)

    def forward(self, x):
        return self.conv(functional.pad(x, (self.left, 0)))


class Up(nn.Module):
    """A transposed convolution whose right end is cut off, as Encodec does it."""

    def __init__(self, given, made, stride):
        super().__init__()
        self.conv, self.stride = nn.ConvTranspose1d(given, made, 2 * stride, stride=stride), stride

    def forward(self, x):
        return self.conv(x)[..., : -self.stride]


class Gated(nn.Module):
    """A residual layer of WaveNet's."""

    def __init__(self, channels, dilation):
        super().__init__()
        self.filter = Causal(channels, channels, 2, dilation)
        self.gate = Causal(channels, channels, 2, dilation)
        self.fold, self.open = Fold(), Fold(3)

    def forward(self, x):
        return self.fold(x + self.fold(self.filter(x)) * self.open(self.gate(x)))


class Window(nn.Module):
    """Attention over the last `back` and the next `ahead` steps, without a softmax; channels come last."""

    def __init__(self, channels, back, ahead=0):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(channels, channels) for _ in range(3))
        self.back, self.ahead, self.fold = back, ahead, Fold()

    def forward(self, x):
        steps = torch.arange(x.shape[-2])
        far = steps[:, None] - steps
        scores = self.query(x) @ self.key(x).transpose(-1, -2)
        scores = scores.masked_fill((far > self.back) | (far < -self.ahead), 0)
        return self.fold(x + scores @ self.value(x))


class Turned(nn.Module):
    """Channels last between two convolutions."""

    def __init__(self, *layers):
        super().__init__()
        self.before, self.attention, self.after = layers

    def forward(self, x):
        x = self.attention(self.before(x).transpose(-1, -2)).transpose(-1, -2)
        return self.after(x)


class Skips(nn.Module):
    """An hourglass: two strides down, two up, what is lost on the way added again, as in Demucs."""

    def __init__(self):
        super().__init__()
        self.down1, self.down2 = nn.Conv1d(1, 3, 8, 4, padding=2), nn.Conv1d(3, 4, 4, 2, padding=1)
        self.up2, self.up1 = nn.ConvTranspose1d(4, 3, 4, 2, padding=1), nn.ConvTranspose1d(3, 2, 8, 4, padding=2)
        self.fold = Fold()

    def forward(self, x):
        one = self.fold(self.down1(x))
        two = self.fold(self.down2(one))
        return self.up1(self.fold(self.up2(two) + one))


def wavenet():
    return nn.Sequential(Causal(1, 3, 1), *(Gated(3, 1 << k) for k in range(6)), Causal(3, 4, 1))


def tcn():
    """With strides."""
    layers = [Causal(2, 4, 3), Fold(), Causal(4, 4, 3, 2), Fold(), Causal(4, 4, 4, stride=2), Fold()]
    return nn.Sequential(*layers, Causal(4, 4, 3, 4), Fold(), Causal(4, 3, 6, stride=3))


def local():
    return Turned(nn.Sequential(Causal(1, 4, 5), Fold()), nn.Sequential(Window(4, 9), Window(4, 6)), Causal(4, 2, 3))


def encodec():
    down = [Causal(1, 3, 7), Fold(), Causal(3, 4, 4, stride=2), Fold(), Causal(4, 5, 8, stride=4), Fold()]
    up = [Up(5, 4, 4), Fold(), Up(4, 3, 2), Fold(), Causal(3, 1, 7)]
    return nn.Sequential(*down, Causal(5, 5, 3, 2), Fold(), *up)


def ahead():
    """Convolutions and attention that see what is to come."""
    before = nn.Sequential(nn.Conv1d(1, 4, 5, padding=2), Fold())
    return Turned(before, Window(4, 6, 3), nn.Conv1d(4, 2, 4, padding=(3)))


CAUSAL = {"wavenet": (wavenet, 1), "tcn": (tcn, 2), "local": (local, 1), "encodec": (encodec, 1)}
AHEAD = {"hourglass": (Skips, 1), "ahead": (ahead, 1)}


def whole_numbers(model, generator):
    """The model with weights of small whole numbers, in float64."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randint(-2, 3, parameter.shape, generator=generator))
    return model.double().eval()


def signal(channels, n, generator):
    return torch.randint(-3, 4, (1, channels, n), generator=generator).double()
