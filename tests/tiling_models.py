"""Networks as people tile them, made exact: weights are small whole numbers, and what rounds is replaced.

Activations become `Wrapped`, x modulo 13, which is exact, keeps numbers small through any depth, and changes whenever
its input does. Norms become the identity: their statistics over positions would need the whole image. Softmax sees
zeros and so gives 1 / 16 over windows of 16 tokens. All sums are whole numbers (or parts of 256, behind bilinear
resizes) far below 2^24, so float32 does not round them either.
"""

from __future__ import annotations

import itertools

import pytest

torch = pytest.importorskip("torch")
nn, functional = torch.nn, torch.nn.functional

__all__ = ["MODELS", "Shuffled", "Skipped", "Sliced", "Wrapped", "exact"]


class Wrapped(nn.Module):
    """x modulo 13."""

    def __init__(self, *_, **__):
        super().__init__()

    def forward(self, x):
        return x - 13 * torch.floor(x / 13)


class Sliced(nn.Module):
    """Some samples less at both ends."""

    def __init__(self, before, after):
        super().__init__()
        self.before, self.after = before, after

    def forward(self, x):
        return x[..., self.before : x.shape[-1] - self.after]


class Shuffled(nn.Module):
    """Pairs of channels as neighbours."""

    def forward(self, x):
        n, channels, size = x.shape
        return x.reshape(n, channels // 2, 2, size).permute(0, 1, 3, 2).reshape(n, channels // 2, 2 * size)


class Skipped(nn.Module):
    """What a branch makes, added to what it is given, as far as both go."""

    def __init__(self, branch):
        super().__init__()
        self.branch = branch

    def forward(self, x):
        y = self.branch(x)
        size = min(x.shape[-1], y.shape[-1])
        return x[..., :size] + y[..., :size]


NORMS = (nn.BatchNorm2d, nn.BatchNorm3d, nn.BatchNorm1d, nn.LayerNorm, nn.GroupNorm, nn.Dropout)
ROUNDS = (nn.ReLU, nn.GELU, nn.SiLU, nn.ELU, nn.Tanh, nn.Sigmoid)


def exact(model, seed=0):
    """The model in double precision, evaluated, with whole numbers for weights and nothing that rounds."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, NORMS):
                setattr(parent, name, nn.Identity())
            elif isinstance(child, ROUNDS):
                setattr(parent, name, Wrapped())
    chance = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        drawn = torch.randint(0, 4, parameter.shape, generator=chance)
        parameter.data = torch.tensor([-2.0, -1.0, 1.0, 2.0])[drawn]
        parameter.requires_grad_(False)
    return model.double().eval()


def block(n_in, n_out, padding=1, kind=nn.Conv2d):
    return nn.Sequential(
        kind(n_in, n_out, 3, padding=padding), nn.ReLU(), kind(n_out, n_out, 3, padding=padding), nn.ReLU()
    )


def cropped(x, like):
    """The middle of x, as large as another map."""
    for axis in range(2, x.ndim):
        skip = (x.shape[axis] - like.shape[axis]) // 2
        x = x.narrow(axis, skip, like.shape[axis])
    return x


class UNet(nn.Module):
    """Ronneberger et al. 2015, with padding or without, in two or three dimensions."""

    def __init__(self, depth=3, padding=1, kind="2d", n_out=2, width=3):
        super().__init__()
        conv, pool, up = (getattr(nn, f"{name}{kind}") for name in ("Conv", "MaxPool", "ConvTranspose"))
        sizes = [width * 2**k for k in range(depth)]
        self.pool = pool(2)
        self.down = nn.ModuleList(block(a, b, padding, conv) for a, b in zip([1, *sizes], sizes, strict=False))
        self.up = nn.ModuleList(up(2 * n, n, 2, stride=2) for n in sizes[-2::-1])
        self.join = nn.ModuleList(block(2 * n, n, padding, conv) for n in sizes[-2::-1])
        self.head = conv(width, n_out, 1)

    def features(self, x):
        kept = []
        for k, down in enumerate(self.down):
            x = down(self.pool(x) if k else x)
            kept.append(x)
        for up, join, skip in zip(self.up, self.join, kept[-2::-1], strict=True):
            x = up(x)
            x = join(torch.cat([cropped(skip, x), x], 1))
        return x

    def forward(self, x):
        return self.head(self.features(x))


class StarDist(UNet):
    """Schmidt et al. 2018: a U-Net on a grid of 2 with probabilities and distances along rays."""

    def __init__(self):
        super().__init__(depth=3)
        self.grid = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.after = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU())
        self.prob, self.dist = nn.Conv2d(6, 1, 1), nn.Conv2d(6, 8, 1)

    def forward(self, x):
        x = self.after(self.features(self.grid(x)))
        return self.prob(x), self.dist(x)


def deeplab():
    """Torchvision's DeepLabV3 on a residual network of one block a stage, without the pooled branch of its ASPP."""
    models = pytest.importorskip("torchvision").models
    backbone = models.resnet.ResNet(
        models.resnet.Bottleneck, [1, 1, 1, 1], replace_stride_with_dilation=[False, True, True]
    )
    head = models.segmentation.deeplabv3.DeepLabHead(2048, 2, (2, 4, 6))
    del head[0].convs[-1]
    head[0].project[0] = nn.Conv2d(4 * 256, 256, 1, bias=False)
    kept = [child for name, child in backbone.named_children() if name not in ("avgpool", "fc")]
    return nn.Sequential(*kept, head, nn.Upsample(scale_factor=8, mode="bilinear"))


class Residual(nn.Module):
    """A residual block of a decoder."""

    def __init__(self, n):
        super().__init__()
        self.way = nn.Sequential(
            nn.GroupNorm(1, n), nn.SiLU(), nn.Conv2d(n, n, 3, padding=1), nn.SiLU(), nn.Conv2d(n, n, 3, padding=1)
        )

    def forward(self, x):
        return x + self.way(x)


def vae_decoder():
    """The decoder of Rombach et al. 2022 without its attention: three times twice the size."""
    stages = []
    for _ in range(3):
        stages += [Residual(4), nn.Upsample(scale_factor=2), nn.Conv2d(4, 4, 3, padding=1)]
    return nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), Residual(4), *stages, nn.SiLU(), nn.Conv2d(4, 3, 3, padding=1))


class EDSR(nn.Module):
    """Lim et al. 2017: residual blocks, then pixel shuffle, for four times the size."""

    def __init__(self):
        super().__init__()
        self.head, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 3, 3, padding=1)
        self.body = nn.Sequential(*[Residual(8) for _ in range(3)])
        self.up = nn.Sequential(*[nn.Sequential(nn.Conv2d(8, 32, 3, padding=1), nn.PixelShuffle(2)) for _ in range(2)])

    def forward(self, x):
        x = self.head(x)
        return self.last(self.up(x + self.body(x)))


class Swin(nn.Module):
    """timm's block of Liu et al. 2021 on patches of 2, in windows of 4 that tile the map."""

    def __init__(self):
        super().__init__()
        made = pytest.importorskip("timm.models.swin_transformer").SwinTransformerBlock
        self.embed = nn.Conv2d(1, 8, 2, stride=2)
        self.block = made(8, (24, 32), num_heads=2, window_size=4, shift_size=0, dynamic_mask=True)
        self.out = nn.Conv2d(8, 2, 1)

    def forward(self, x):
        return self.out(self.block(self.embed(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2))

    @classmethod
    def exact(cls):
        """With queries of zero, so that softmax gives one sixteenth of each token."""
        model = exact(cls())
        attention = model.block.attn
        attention.qkv.weight.data[:16] = 0
        attention.qkv.bias.data[:16] = 0
        attention.relative_position_bias_table.data[:] = 0
        return model


class Gated(nn.Module):
    """A layer of WaveNet: a dilated causal convolution times its gate, and what is added to the signal."""

    def __init__(self, dilation):
        super().__init__()
        self.past = dilation
        self.value, self.gate = (nn.Conv1d(3, 3, 2, dilation=dilation) for _ in range(2))
        self.tanh, self.sigmoid, self.wrap, self.back = nn.Tanh(), nn.Sigmoid(), nn.ReLU(), nn.Conv1d(3, 3, 1)

    def forward(self, x):
        y = functional.pad(x, (self.past, 0))
        y = self.wrap(self.tanh(self.value(y)) * self.sigmoid(self.gate(y)))
        return x + self.back(y)


def wavenet():
    """Van den Oord et al. 2016: two stacks of dilations 1 to 16."""
    layers = [Gated(2**k) for _ in range(2) for k in range(5)]
    return nn.Sequential(nn.Conv1d(1, 3, 1), *layers, nn.ReLU(), nn.Conv1d(3, 4, 1))


class Demucs(nn.Module):
    """Defossez et al. 2019 without its LSTM: strided convolutions, transposed ones, skips that are cropped."""

    def __init__(self, depth=3):
        super().__init__()
        sizes = [2, *(4 * 2**k for k in range(depth))]
        pairs = list(itertools.pairwise(sizes))
        self.down = nn.ModuleList(nn.Sequential(nn.Conv1d(a, b, 8, 4), nn.ReLU(), nn.Conv1d(b, b, 1)) for a, b in pairs)
        self.up = nn.ModuleList(
            nn.Sequential(nn.Conv1d(b, b, 3), nn.ReLU(), nn.ConvTranspose1d(b, a, 8, 4)) for a, b in pairs[::-1]
        )

    def forward(self, x):
        kept = []
        for down in self.down:
            x = down(x)
            kept.append(x)
        for up, skip in zip(self.up, kept[::-1], strict=True):
            x = up(x + cropped(skip, x))
        return x


def convnext():
    """The features of torchvision's ConvNeXt (Liu et al. 2022) after two stages: 7 x 7 by depth, on patches of 4."""
    models = pytest.importorskip("torchvision").models
    setting = models.convnext.CNBlockConfig
    made = models.ConvNeXt([setting(4, 8, 2), setting(8, None, 1)])
    made.features[0][1] = made.features[2][0] = nn.Identity()  # norms of a kind of its own
    return made.features


class Panorama(nn.Module):
    """A network that goes around its width: circular padding there, zeros above and below."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.three = (nn.Conv2d(a, b, 3, padding=(1, 0)) for a, b in ((1, 3), (3, 3), (3, 2)))
        self.act, self.pool = nn.ReLU(), nn.MaxPool2d(2)

    def forward(self, x):
        x = self.act(self.one(functional.pad(x, (1, 1, 0, 0), mode="circular")))
        x = self.act(self.two(functional.pad(self.pool(x), (1, 1, 0, 0), mode="circular")))
        x = self.three(functional.pad(x, (1, 1, 0, 0), mode="circular"))
        return functional.interpolate(x, scale_factor=2)


#: By name: the model, the shape of an image, tiles and the axes that go around.
MODELS = {
    "unet": (lambda: exact(UNet()), (1, 88, 100), 72, ()),
    "deeplab": (lambda: exact(deeplab()), (3, 416, 16), (336, None), ()),
    "stardist": (lambda: exact(StarDist()), (1, 192, 176), 136, ()),
    "valid_unet": (lambda: exact(UNet(padding=0)), (1, 108, 92), 60, ()),
    "unet3d": (lambda: exact(UNet(depth=2, kind="3d", width=2)), (1, 30, 34, 28), 24, ()),
    "vae_decoder": (lambda: exact(vae_decoder()), (4, 23, 31), 19, ()),
    "edsr": (lambda: exact(EDSR()), (3, 41, 37), 29, ()),
    "swin": (Swin.exact, (1, 48, 64), 16, ()),
    "wavenet": (lambda: exact(wavenet()), (1, 400), 150, ()),
    "demucs": (lambda: exact(Demucs()), (2, 1812), 1000, ()),
    "convnext": (lambda: exact(convnext()), (3, 192, 160), 144, ()),
    "panorama": (lambda: exact(Panorama()), (1, 30, 40), 20, (1,)),
}
