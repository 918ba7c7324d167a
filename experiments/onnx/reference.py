"""A model of ONNX computed by PyTorch in float64, node by node: nothing of it is thimble's."""

import numpy as np
import onnx
import onnx.numpy_helper
import torch
import torch.nn.functional as F


def pads_of(a, x):
    t, l, b, r = a.get("pads", [0, 0, 0, 0])
    return F.pad(x, (l, r, t, b)), (t, l, b, r)


def conv(a, x, w, b=None):
    x, _ = pads_of(a, x)
    return F.conv2d(x, w, b, a.get("strides", 1), 0, a.get("dilations", 1), a.get("group", 1))


def max_pool(a, x):
    t, l, b, r = a.get("pads", [0, 0, 0, 0])
    x = F.pad(x, (l, r, t, b), value=-float("inf"))
    return F.max_pool2d(x, a["kernel_shape"], a.get("strides", 1),
                        ceil_mode=bool(a.get("ceil_mode", 0)))


def average_pool(a, x):
    t, l, b, r = a.get("pads", [0, 0, 0, 0])
    assert t == b and l == r
    return F.avg_pool2d(x, a["kernel_shape"], a.get("strides", 1), (t, l),
                        bool(a.get("ceil_mode", 0)), bool(a.get("count_include_pad", 0)))


def pad(a, x, pads, value=0):
    p = pads.tolist()
    n = len(p) // 2
    return F.pad(x, [p[n * side + axis] for axis in reversed(range(n)) for side in (0, 1)])


def reshape(a, x, shape):
    return x.reshape([x.shape[i] if s == 0 else s for i, s in enumerate(shape.tolist())])


def slice_(a, x, starts, ends, axes=None, steps=None):
    for i, axis in enumerate(axes.tolist() if axes is not None else range(len(starts))):
        cut = slice(starts[i].item(), ends[i].item())
        x = x[(slice(None),) * (axis % x.ndim) + (cut,)]
    return x


def gemm(a, x, w, c=0):
    w = w.T if a.get("transB", 0) else w
    return a.get("alpha", 1.0) * (x @ w) + a.get("beta", 1.0) * c


OPS = {
    "Conv": conv, "MaxPool": max_pool, "AveragePool": average_pool, "Pad": pad,
    "Reshape": reshape, "Slice": slice_, "Gemm": gemm,
    "BatchNormalization": lambda a, x, g, b, m, v: F.batch_norm(
        x, m, v, g, b, eps=a.get("epsilon", 1e-5)),
    "InstanceNormalization": lambda a, x, g, b: F.instance_norm(
        x, weight=g, bias=b, eps=a.get("epsilon", 1e-5)),
    "Relu": lambda a, x: F.relu(x),
    "LeakyRelu": lambda a, x: F.leaky_relu(x, a.get("alpha", 0.01)),
    "Clip": lambda a, x, low=None, high=None: torch.clamp(x, low, high),
    "Sigmoid": lambda a, x: torch.sigmoid(x),
    "HardSigmoid": lambda a, x: torch.clamp(a.get("alpha", 0.2) * x + a.get("beta", 0.5), 0, 1),
    "Add": lambda a, x, y: x + y,
    "Mul": lambda a, x, y: x * y,
    "GlobalAveragePool": lambda a, x: x.mean((2, 3), keepdim=True),
    "Flatten": lambda a, x: x.flatten(a.get("axis", 1)),
    "Concat": lambda a, *x: torch.cat(x, a["axis"]),
    "Split": lambda a, x, sizes: torch.split(x, sizes.tolist(), a.get("axis", 0)),
    "Transpose": lambda a, x: x.permute(*a["perm"]),
    "Div": lambda a, x, y: x / y,
    "Erf": lambda a, x: torch.erf(x),
    "Elu": lambda a, x: F.elu(x, a.get("alpha", 1.0)),
    "Tanh": lambda a, x: torch.tanh(x),
    "Shape": lambda a, x: torch.tensor(x.shape),
    "Resize": lambda a, x, roi, scales, sizes: F.interpolate(
        x, size=sizes.tolist()[2:], mode="bilinear", align_corners=False),
    "Constant": lambda a: a["value"],
}


def tensor(proto):
    array = torch.from_numpy(np.array(onnx.numpy_helper.to_array(proto)))
    return array.double() if array.is_floating_point() else array


def attribute(proto):
    value = onnx.helper.get_attribute_value(proto)
    return tensor(value) if isinstance(value, onnx.TensorProto) else value


def run(path, images):
    """The only output, for images (N, C, H, W)."""
    graph = onnx.load(path).graph
    values = {t.name: tensor(t) for t in graph.initializer}
    values[graph.input[0].name] = torch.from_numpy(np.array(images)).double()
    with torch.no_grad():
        for node in graph.node:
            attributes = {a.name: attribute(a) for a in node.attribute}
            made = OPS[node.op_type](attributes, *[values[i] if i else None for i in node.input])
            made = made if isinstance(made, (tuple, list)) else [made]
            values.update(zip(node.output, made))
    return values[graph.output[0].name].numpy()
