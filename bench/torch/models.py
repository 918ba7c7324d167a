"""PyTorch twins of thimble's models: same layers, same tensor names, same numbers.

`state_dict()` of a twin has the names of thimble's weights and running statistics and no others.
"""

from collections import OrderedDict
from math import gcd

import torch
import torch.nn.functional as F
from torch import nn

import safetensors

EPSILON, MOMENTUM = 1e-5, 0.1


def scaled(channels, width):
    """The nearest multiple of 8, never below 8 nor 10% under (src/models/blocks.cpp)."""
    wanted = channels * width
    nearest = max(8, int(wanted + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * wanted else nearest


class BatchNorm(nn.Module):
    """nn.BatchNorm2d without its batch counter; frozen: running statistics, never updated."""

    def __init__(self, channels, frozen):
        super().__init__()
        self.frozen = frozen
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x):
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias,
                            self.training and not self.frozen, MOMENTUM, EPSILON)


def norm_layer(channels, norm):
    if norm == "group":
        return nn.GroupNorm(channels // gcd(channels, 8), channels, EPSILON)
    return BatchNorm(channels, frozen=norm == "frozen")


def conv_layer(inputs, outputs, kernel=1, stride=1, groups=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


ACTIVATIONS = {"none": lambda x: x, "relu": F.relu, "relu6": F.relu6}


class ConvNorm(nn.Module):
    """conv, norm, plus addend, activation."""

    def __init__(self, norm, activation, inputs, outputs, *conv):
        super().__init__()
        self.conv = conv_layer(inputs, outputs, *conv)
        self.norm = norm_layer(outputs, norm)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x, addend=None):
        x = self.norm(self.conv(x))
        return self.activation(x if addend is None else x + addend)


class Function(nn.Module):
    """A function or a module as a module, without owning its parameters once more."""

    def __init__(self, function):
        super().__init__()
        self.call = [function]

    def forward(self, x):
        return self.call[0](x)


def numbered(prefix, layers):
    return nn.Sequential(OrderedDict((f"{prefix}{i + 1}", m) for i, m in enumerate(layers)))


class LeNet(nn.Module):
    def __init__(self, channels, classes, width, height, width_px, **_):
        super().__init__()
        c1, c2, f1, f2 = (max(1, int(n * width + 0.5)) for n in (6, 16, 120, 84))
        self.conv1 = nn.Conv2d(channels, c1, 5, padding=2)
        self.conv2 = nn.Conv2d(c1, c2, 5)
        self.fc1 = nn.Linear(c2 * ((height // 2 - 4) // 2) * ((width_px // 2 - 4) // 2), f1)
        self.fc2 = nn.Linear(f1, f2)
        self.fc3 = nn.Linear(f2, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc1(torch.flatten(x, 1)))
        return self.fc3(F.relu(self.fc2(x)))


class ResidualBlock(nn.Module):
    """Convolutions conv1, conv2, ... each with its norm; the last is joined by the shortcut."""

    def __init__(self, norm, inputs, convs, stride):
        super().__init__()
        self.count = len(convs)
        before = inputs
        for i, (outputs, *conv) in enumerate(convs):
            self.add_module(f"conv{i + 1}", conv_layer(before, outputs, *conv))
            self.add_module(f"norm{i + 1}", norm_layer(outputs, norm))
            before = outputs
        self.downsample = None
        if stride != 1 or inputs != before:
            self.downsample = ConvNorm(norm, "none", inputs, before, 1, stride)

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        for i in range(1, self.count + 1):
            x = getattr(self, f"norm{i}")(getattr(self, f"conv{i}")(x))
            x = F.relu(x if i < self.count else x + shortcut)
        return x


class ResNet(nn.Module):
    """`block(norm, inputs, channels, stride)` makes a block and its number of outputs."""

    def __init__(self, stem, pool, block, blocks, norm, classes, width):
        super().__init__()
        self.stem, self.pool = stem, pool
        inputs = stem.conv.out_channels
        for stage, count in enumerate(blocks):
            layers = []
            for i in range(count):
                stride = 2 if stage > 0 and i == 0 else 1
                layer, inputs = block(norm, inputs, scaled(64 << stage, width), stride)
                layers.append(layer)
            self.add_module(f"stage{stage + 1}", numbered("block", layers))
        self.fc = nn.Linear(inputs, classes)

    def chain(self):
        """Functions that are the network one after the other."""
        blocks = [block for stage in (self.stage1, self.stage2, self.stage3, self.stage4)
                  for block in stage]
        return [self.first, *blocks, self.last]

    def first(self, x):
        x = self.stem(x)
        return F.max_pool2d(x, 3, 2, 1) if self.pool else x

    def last(self, x):
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))

    def forward(self, x):
        for part in self.chain():
            x = part(x)
        return x


def resnet18_cifar(channels, classes, width, norm, **_):
    def block(norm, inputs, c, stride):
        return ResidualBlock(norm, inputs, [(c, 3, stride), (c, 3)], stride), c

    stem = ConvNorm(norm, "relu", channels, scaled(64, width), 3)
    return ResNet(stem, False, block, (2, 2, 2, 2), norm, classes, width)


def resnet50(channels, classes, width, norm, stride_in="1x1", **_):
    def block(norm, inputs, c, stride):
        first, second = (stride, 1) if stride_in == "1x1" else (1, stride)
        return ResidualBlock(norm, inputs, [(c, 1, first), (c, 3, second), (4 * c,)], stride), 4 * c

    stem = ConvNorm(norm, "relu", channels, scaled(64, width), 7, 2)
    return ResNet(stem, True, block, (3, 4, 6, 3), norm, classes, width)


class SeparableBlock(nn.Module):
    def __init__(self, norm, inputs, outputs, stride):
        super().__init__()
        self.depthwise = ConvNorm(norm, "relu", inputs, inputs, 3, stride, inputs)
        self.pointwise = ConvNorm(norm, "relu", inputs, outputs)

    def forward(self, x):
        return self.pointwise(self.depthwise(x))


class InvertedResidual(nn.Module):
    def __init__(self, norm, inputs, outputs, stride, expansion):
        super().__init__()
        hidden = expansion * inputs
        self.expand = ConvNorm(norm, "relu6", inputs, hidden) if expansion != 1 else None
        self.depthwise = ConvNorm(norm, "relu6", hidden, hidden, 3, stride, hidden)
        self.project = ConvNorm(norm, "none", hidden, outputs)
        self.joined = stride == 1 and inputs == outputs

    def forward(self, x):
        y = x if self.expand is None else self.expand(x)
        return self.project(self.depthwise(y), x if self.joined else None)


class MobileNet(nn.Module):
    """block1, block2, ... after the stem; `head` and `dropout` may be absent."""

    def __init__(self, stem, blocks, head, outputs, classes, dropout=0.0):
        super().__init__()
        self.stem = stem
        self.count = len(blocks)
        for i, block in enumerate(blocks):
            self.add_module(f"block{i + 1}", block)
        self.head = head
        self.dropout = dropout
        self.fc = nn.Linear(outputs, classes)

    def chain(self):
        """Functions that are the network one after the other."""
        return [self.stem, *(getattr(self, f"block{i + 1}") for i in range(self.count)), self.last]

    def last(self, x):
        if self.head is not None:
            x = self.head(x)
        x = torch.flatten(F.adaptive_avg_pool2d(x, 1), 1)
        return self.fc(F.dropout(x, self.dropout, self.training))

    def forward(self, x):
        for part in self.chain():
            x = part(x)
        return x


def separable_net(layout, stem_stride, channels, classes, width, norm):
    inputs = scaled(32, width)
    stem = ConvNorm(norm, "relu", channels, inputs, 3, stem_stride)
    blocks = []
    for outputs, stride in layout:
        blocks.append(SeparableBlock(norm, inputs, scaled(outputs, width), stride))
        inputs = scaled(outputs, width)
    return MobileNet(stem, blocks, None, inputs, classes)


def mobilenet_v1(channels, classes, width, norm, **_):
    layout = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)]
    layout += [(512, 1)] * 5 + [(1024, 2), (1024, 1)]
    return separable_net(layout, 2, channels, classes, width, norm)


def mobilenet_v1_patch(channels, classes, width, norm, **_):
    layout = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (1024, 1), (1024, 1)]
    return separable_net(layout, 1, channels, classes, width, norm)


def mobilenet_v2(channels, classes, width, norm, dropout=0.0, **_):
    layout = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
              (6, 160, 3, 2), (6, 320, 1, 1)]
    inputs = scaled(32, width)
    stem = ConvNorm(norm, "relu6", channels, inputs, 3, 2)
    blocks = []
    for expansion, c, count, stride in layout:
        for i in range(count):
            outputs = scaled(c, width)
            blocks.append(InvertedResidual(norm, inputs, outputs, stride if i == 0 else 1,
                                           expansion))
            inputs = outputs
    last = scaled(1280, max(1.0, width))
    head = ConvNorm(norm, "relu6", inputs, last)
    return MobileNet(stem, blocks, head, last, classes, float(dropout))


# Name: maker, channels, height and width, classes. As the defaults in src/models.
MODELS = {
    "lenet": (LeNet, 1, 28, 10),
    "resnet18_cifar": (resnet18_cifar, 3, 32, 10),
    "resnet50": (resnet50, 3, 224, 8),
    "mobilenet_v1": (mobilenet_v1, 3, 224, 8),
    "mobilenet_v1_patch": (mobilenet_v1_patch, 3, 32, 8),
    "mobilenet_v2": (mobilenet_v2, 3, 224, 1000),
}


def build_model(name, channels=0, height=0, width_px=0, classes=0, width=1.0, norm="batch",
                **variants):
    """The twin of thimble's `build_model`; 0: the model's usual value."""
    make, usual_channels, usual_size, usual_classes = MODELS[name]
    height, width_px = height or width_px or usual_size, width_px or height or usual_size
    return make(channels=channels or usual_channels, classes=classes or usual_classes, width=width,
                norm=norm, height=height, width_px=width_px, **variants)


def load_thimble(path):
    """A state dict from thimble's checkpoint or weights file."""
    return {name: torch.from_numpy(array) for name, array in safetensors.load(path).items()}
