#!/usr/bin/python3
"""Do models as PyTorch writes them import, with F.pad, F.relu6 and the rest, at every opset?

  experiments/onnx/raw_exports.py

One network of what exporters write at length, exported at opsets 11 to 17, with a symbolic and with
a fixed batch, with normalisations kept and folded; outputs beside PyTorch's, and whether exporting
and importing again changes nothing. A line of JSON each.
"""

import json
import os
import sys
import tempfile
import warnings

import numpy as np
import torch
import torch.nn.functional as F

import network
import reference

SIZE, CLASSES = 33, 7


class Rough(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 16, 3, 2, bias=False)
        self.norm = torch.nn.BatchNorm2d(16)
        self.depthwise = torch.nn.Conv2d(16, 16, 3, 2, groups=16)
        self.norm2 = torch.nn.BatchNorm2d(16)
        self.squeeze = torch.nn.Conv2d(16, 4, 1)
        self.expand = torch.nn.Conv2d(4, 16, 1)
        self.groups = torch.nn.GroupNorm(4, 16)
        self.grouped = torch.nn.Conv2d(16, 16, 1, groups=4)
        self.inner = torch.nn.Linear(16, 12, bias=False)
        self.head = torch.nn.Linear(12, CLASSES)
        for n in (self.norm, self.norm2, self.groups):
            torch.nn.init.uniform_(n.weight, 0.5, 1.5)
            torch.nn.init.uniform_(n.bias, -0.5, 0.5)
        for n in (self.norm, self.norm2):
            torch.nn.init.uniform_(n.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(n.running_var, 0.5, 1.5)

    def forward(self, x):
        x = x / 127.5 - 1
        x = F.relu6(self.norm(self.stem(F.pad(x, (0, 1, 0, 1)))))
        x = F.hardswish(self.norm2(self.depthwise(F.pad(x, (0, 1, 0, 1)))))
        s = F.hardsigmoid(self.expand(F.silu(self.squeeze(x.mean((2, 3), keepdim=True)))))
        x = x * s
        n, c, h, w = x.shape
        x = self.grouped(x).view(n, 4, c // 4, h, w).transpose(1, 2).reshape(n, c, h, w)
        x = F.gelu(self.groups(x))
        a, b = x.chunk(2, 1)
        x = torch.cat((b, F.leaky_relu(a, 0.1) + F.elu(b)), 1)
        x = F.interpolate(x, size=(12, 12), mode="bilinear", align_corners=False)
        x = F.max_pool2d(x, 3, 2, 1, ceil_mode=True) + F.avg_pool2d(x, 3, 2, 1, ceil_mode=True)
        x = F.dropout(F.adaptive_avg_pool2d(x, 1), 0.5, self.training).flatten(1)
        return self.head(torch.tanh(self.inner(x)))


def main():
    torch.manual_seed(1)
    model = Rough().eval()
    images = np.random.default_rng(1).uniform(0, 255, (3, 3, SIZE, SIZE)).astype("float32")
    with torch.no_grad():
        expected = model.double()(torch.from_numpy(images).double()).numpy()
    model.float()
    good = True
    for opset in range(11, 18):
        for axes in ({"input": {0: "N"}, "logits": {0: "N"}}, None):
            for folded in (False, True):
                mode = torch.onnx.TrainingMode.EVAL if folded else torch.onnx.TrainingMode.PRESERVE
                with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    path = os.path.join(folder, "rough.onnx")
                    torch.onnx.export(model, torch.zeros(1, 3, SIZE, SIZE), path,
                                      opset_version=opset, training=mode,
                                      do_constant_folding=folded, input_names=["input"],
                                      output_names=["logits"], dynamic_axes=axes)
                    report = {"opset": opset, "batch": "N" if axes else 1, "folded": folded}
                    try:
                        net = network.Network(path)
                        exported, same = net.export()
                        off = np.max(np.abs(net.outputs(images) - expected))
                        back = np.max(np.abs(reference.run(exported, images) - expected))
                        report.update(outputs=float(off / np.max(np.abs(expected))),
                                      exported_outputs=float(back / np.max(np.abs(expected))),
                                      same_again=same)
                        report["good"] = bool(same and report["outputs"] <= 1e-4 and
                                              report["exported_outputs"] <= 1e-4)
                    except network.Failed as e:
                        report.update(good=False, error=str(e)[:1500])
                good = good and report["good"]
                print(json.dumps(report), flush=True)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
