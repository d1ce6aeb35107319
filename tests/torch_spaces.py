"""PyTorch modules of the public search spaces, built from their notations: the oracle of test_torch_spaces.

They import nothing from fastrf. `features` is the module whose output is the last map.
"""

from __future__ import annotations

import ast
import json

import torch
from torch import nn

__all__ = ["DartsNet", "Nb101Net", "Nb201Net", "OfaNet"]


def conv_bn(c_in, c_out, k, stride=1, padding=None, act=None):
    padding = k // 2 if padding is None else padding
    layers = [nn.Conv2d(c_in, c_out, k, stride, padding, bias=False), nn.BatchNorm2d(c_out)]
    return nn.Sequential(*layers, *([act()] if act else []))


def relu_conv_bn(c_in, c_out, k, stride=1, padding=None):
    return nn.Sequential(nn.ReLU(), conv_bn(c_in, c_out, k, stride, padding))


class Head(nn.Module):
    """Global pooling and a classifier."""

    def __init__(self, channels, classes):
        super().__init__()
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x):
        return self.classifier(x.mean((2, 3)))


# NAS-Bench-201 ---------------------------------------------------------------------------------------------


class Nb201Cell(nn.Module):
    def __init__(self, text, c):
        super().__init__()
        self.plan, self.edges = [], nn.ModuleList()
        for node in text.split("+"):
            plan = []
            for item in node.strip("|").split("|"):
                op, source = item.split("~")
                made = {
                    "skip_connect": nn.Identity,
                    "nor_conv_1x1": lambda: relu_conv_bn(c, c, 1),
                    "nor_conv_3x3": lambda: relu_conv_bn(c, c, 3),
                    "avg_pool_3x3": lambda: nn.AvgPool2d(3, 1, 1, count_include_pad=False),
                }.get(op)
                if made:
                    plan.append((int(source), len(self.edges)))
                    self.edges.append(made())
            self.plan.append(plan)

    def forward(self, x):
        states = [x]
        for plan in self.plan:
            values = [self.edges[e](states[s]) for s, e in plan]
            states.append(sum(values) if values else torch.zeros_like(x))
        return states[-1]


class Nb201Block(nn.Module):
    def __init__(self, c_in, c_out):
        super().__init__()
        self.body = nn.Sequential(relu_conv_bn(c_in, c_out, 3, 2), relu_conv_bn(c_out, c_out, 3))
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, 2), nn.Conv2d(c_in, c_out, 1, bias=False))

    def forward(self, x):
        return self.body(x) + self.shortcut(x)


class Nb201Net(nn.Module):
    def __init__(self, text, c=16, n=5, classes=10):
        super().__init__()
        layers = [conv_bn(3, c, 3)]
        for stage in range(3):
            if stage:
                layers.append(Nb201Block(c << (stage - 1), c << stage))
            layers += [Nb201Cell(text, c << stage) for _ in range(n)]
        self.features = nn.Sequential(*layers, nn.BatchNorm2d(4 * c), nn.ReLU())
        self.head = Head(4 * c, classes)

    def forward(self, x):
        return self.head(self.features(x))


# NAS-Bench-101 ---------------------------------------------------------------------------------------------


class Nb101Cell(nn.Module):
    """TensorFlow's SAME padding of 3x3 windows of stride 1 is a padding of 1."""

    def __init__(self, matrix, ops, c_in, c_out):
        super().__init__()
        n = len(ops)
        self.matrix, self.n = matrix, n
        self.widths = widths = [0] * (n - 1) + [c_out]
        ends = [v for v in range(1, n - 1) if matrix[v][n - 1]]
        for rank, v in enumerate(ends):
            widths[v] = c_out // len(ends) + (rank < c_out % len(ends))
        for v in reversed(range(1, n - 1)):
            if v not in ends:
                widths[v] = max(widths[w] for w in range(v + 1, n - 1) if matrix[v][w])
        self.ends = ends
        self.ops, self.projections = nn.ModuleDict(), nn.ModuleDict()
        for v in range(1, n):
            if matrix[0][v]:
                self.projections[str(v)] = conv_bn(c_in, widths[v], 1, act=nn.ReLU)
            if v < n - 1:
                self.ops[str(v)] = {
                    "conv3x3-bn-relu": lambda w: conv_bn(w, w, 3, act=nn.ReLU),
                    "conv1x1-bn-relu": lambda w: conv_bn(w, w, 1, act=nn.ReLU),
                    "maxpool3x3": lambda _: nn.MaxPool2d(3, 1, 1),
                }[ops[v]](widths[v])

    def forward(self, x):
        values = [x]
        for v in range(1, self.n - 1):
            terms = [values[w][:, : self.widths[v]] for w in range(1, v) if self.matrix[w][v]]
            if self.matrix[0][v]:
                terms.append(self.projections[str(v)](x))
            values.append(self.ops[str(v)](sum(terms)))
        out = torch.cat([values[v] for v in self.ends], 1) if self.ends else 0
        last = self.n - 1
        return out + self.projections[str(last)](x) if self.matrix[0][last] else out


class Nb101Net(nn.Module):
    """Even sizes only, where SAME pooling of 2x2 with stride 2 needs no padding."""

    def __init__(self, text, c=128, stacks=3, modules=3, classes=10):
        super().__init__()
        cell = json.loads(text)
        layers = [conv_bn(3, c, 3, act=nn.ReLU)]
        wide = c
        for stack in range(stacks):
            if stack:
                layers.append(nn.MaxPool2d(2, 2))
            for _ in range(modules):
                layers.append(Nb101Cell(cell["matrix"], cell["ops"], wide, c << stack))
                wide = c << stack
        self.features = nn.Sequential(*layers)
        self.head = Head(wide, classes)

    def forward(self, x):
        return self.head(self.features(x))


# DARTS -----------------------------------------------------------------------------------------------------


class FactorizedReduce(nn.Module):
    def __init__(self, c_in, c_out, padded):
        super().__init__()
        self.padded = padded
        self.a = nn.Conv2d(c_in, c_out // 2, 1, 2, bias=False)
        self.b = nn.Conv2d(c_in, c_out // 2, 1, 2, bias=False)
        self.bn = nn.BatchNorm2d(c_out)

    def forward(self, x):
        x = x.relu()
        shifted = (nn.functional.pad(x, (0, 1, 0, 1)) if self.padded else x)[:, :, 1:, 1:]
        return self.bn(torch.cat([self.a(x), self.b(shifted)], 1))


def separable(c, k, stride, padding, dilation=1):
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(c, c, k, stride, padding, dilation, groups=c, bias=False),
        nn.Conv2d(c, c, 1, bias=False),
        nn.BatchNorm2d(c),
    )


def darts_op(name, c, stride, padded):
    k = int(name[-1]) if name[-1].isdigit() else 0
    if name.startswith("sep_conv"):
        return nn.Sequential(separable(c, k, stride, k // 2), separable(c, k, 1, k // 2))
    if name.startswith("dil_conv"):
        return separable(c, k, stride, k - 1, 2)
    if name == "max_pool_3x3":
        return nn.MaxPool2d(3, stride, 1)
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride, 1, count_include_pad=False)
    return nn.Identity() if stride == 1 else FactorizedReduce(c, c, padded)


class DartsCell(nn.Module):
    def __init__(self, edges, concat, widths, c, reduction, reduced, padded):
        super().__init__()
        self.pre0 = FactorizedReduce(widths[0], c, padded) if reduced else relu_conv_bn(widths[0], c, 1)
        self.pre1 = relu_conv_bn(widths[1], c, 1)
        self.ops = nn.ModuleList(darts_op(op, c, 2 if reduction and i < 2 else 1, padded) for op, i in edges)
        self.nodes, self.concat = [i for _, i in edges], concat

    def forward(self, s0, s1):
        states = [self.pre0(s0), self.pre1(s1)]
        for k in range(0, len(self.nodes), 2):
            states.append(self.ops[k](states[self.nodes[k]]) + self.ops[k + 1](states[self.nodes[k + 1]]))
        return torch.cat([states[i] for i in self.concat], 1)


class DartsNet(nn.Module):
    def __init__(self, text, c=36, layers=20, classes=10, imagenet=False, padded=False):
        super().__init__()
        parts = {k.arg: ast.literal_eval(k.value) for k in ast.parse(text, mode="eval").body.keywords}
        self.imagenet = imagenet
        if imagenet:
            self.stem0 = nn.Sequential(conv_bn(3, c // 2, 3, 2, act=nn.ReLU), conv_bn(c // 2, c, 3, 2))
            self.stem1 = relu_conv_bn(c, c, 3, 2)
        else:
            self.stem = conv_bn(3, 3 * c, 3)
        widths, reduced = ([c, c], True) if imagenet else ([3 * c, 3 * c], False)
        self.cells = nn.ModuleList()
        for k in range(layers):
            reduction = k in (layers // 3, 2 * layers // 3)
            c *= 2 if reduction else 1
            kind = "reduce" if reduction else "normal"
            edges, concat = parts[kind], parts[f"{kind}_concat"]
            self.cells.append(DartsCell(edges, concat, widths, c, reduction, reduced, padded))
            widths, reduced = [widths[1], c * len(concat)], reduction
        self.features = nn.ReLU()  # an identity leaves no trace in a captured module
        self.head = Head(widths[1], classes)

    def forward(self, x):
        if self.imagenet:
            s0 = self.stem0(x)
            s1 = self.stem1(s0)
        else:
            s0 = s1 = self.stem(x)
        for cell in self.cells:
            s0, s1 = s1, cell(s0, s1)
        return self.head(self.features(s1))


# Once-for-all ----------------------------------------------------------------------------------------------


def divisible(v):
    new = max(8, int(v + 4) // 8 * 8)
    return new + 8 if new < 0.9 * v else new


class Gate(nn.Module):
    def __init__(self, c):
        super().__init__()
        mid = divisible(c // 4)
        self.fc = nn.Sequential(nn.Conv2d(c, mid, 1), nn.ReLU(), nn.Conv2d(mid, c, 1), nn.Hardsigmoid())

    def forward(self, x):
        return x * self.fc(x.mean((2, 3), keepdim=True))


class OfaBlock(nn.Module):
    def __init__(self, c_in, within, c_out, k, stride, act, gate):
        super().__init__()
        layers = [conv_bn(c_in, within, 1, act=act)] if within != c_in else []
        layers += [
            nn.Conv2d(within, within, k, stride, k // 2, groups=within, bias=False),
            nn.BatchNorm2d(within),
            act(),
        ]
        layers += [Gate(within)] if gate else []
        self.body = nn.Sequential(*layers, conv_bn(within, c_out, 1))
        self.shortcut = stride == 1 and c_in == c_out

    def forward(self, x):
        return self.body(x) + x if self.shortcut else self.body(x)


class OfaNet(nn.Module):
    """`gates=False` leaves out squeeze-and-excitation."""

    def __init__(self, text, width=1.0, classes=1000, gates=True):
        super().__init__()
        config = json.loads(text)
        w = [divisible(width * c) for c in (16, 16, 24, 40, 80, 112, 160, 960, 1280)]
        layers = [conv_bn(3, w[0], 3, 2, act=nn.Hardswish), OfaBlock(w[0], w[0], w[1], 3, 1, nn.ReLU, False)]
        now = w[1]
        plan = zip(w[2:7], (2, 2, 2, 1, 2), (0, 0, 1, 1, 1), (0, 1, 0, 1, 1), config["d"], strict=True)
        for stage, (out, stride, hard, gate, depth) in enumerate(plan):
            for block in range(depth):
                k, e = config["ks"][4 * stage + block], config["e"][4 * stage + block]
                step, act = stride if block == 0 else 1, nn.Hardswish if hard else nn.ReLU
                layers.append(OfaBlock(now, divisible(now * e), out, k, step, act, gates and gate))
                now = out
        self.features = nn.Sequential(*layers, conv_bn(now, w[7], 1, act=nn.Hardswish))
        self.mix = nn.Sequential(nn.Conv2d(w[7], w[8], 1, bias=False), nn.Hardswish())
        self.classifier = nn.Linear(w[8], classes)

    def forward(self, x):
        x = self.features(x).mean((2, 3), keepdim=True)
        return self.classifier(self.mix(x).flatten(1))
