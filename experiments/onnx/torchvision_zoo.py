#!/usr/bin/python3
"""Do torchvision's networks import, and do they train with PyTorch's losses?

  experiments/onnx/torchvision_zoo.py [NAME ...]

Each is exported by torch.onnx as a user would (eval mode, normalisations kept), untrained, with
other numbers than ones and zeros in its normalisations, imported, run, exported and imported again;
then STEPS of SGD on random images, with batch statistics and with frozen ones, in PyTorch and in
thimble. `noise` is how far PyTorch's own float32 losses are from their mean, over RUNS whose images
differ by a rounding: one ReLU that rounding flips moves later losses. Distances are said as parts of
what is allowed, max(5 noise, 1e-5 max(1, loss)): `of_allowed` from PyTorch's mean, `moved` from the
losses of a network that does not train. A line of JSON each.
"""

import copy
import json
import os
import sys
import tempfile
import warnings

import numpy as np
import torch
import torchvision

import network

NAMES = """resnet18 mobilenet_v2 mobilenet_v3_small mnasnet0_5 shufflenet_v2_x0_5 squeezenet1_1
googlenet regnet_y_400mf regnet_x_400mf efficientnet_b0 densenet121 resnet34 mobilenet_v3_large
mnasnet1_0 shufflenet_v2_x1_0 squeezenet1_0 resnet50 resnext50_32x4d alexnet inception_v3
efficientnet_v2_s wide_resnet50_2 convnext_tiny vit_b_16 swin_t""".split()
SIZES = {"inception_v3": 96, "alexnet": 224, "vit_b_16": 224, "swin_t": 224}
BATCH, STEPS, CLASSES, RUNS = 4, 3, 10, 4
# The largest at which PyTorch's own runs agree: to CALM of the loss, or as well as they do before the
# first step. Fresh networks can be chaotic.
RATES, CALM = (1e-5, 1e-6, 1e-7, 1e-8), 1e-5


def build(name, size):
    torch.manual_seed(1)
    more = {"init_weights": True, "aux_logits": False} if name in ("googlenet", "inception_v3") else {}
    model = torchvision.models.get_model(name, weights=None, num_classes=CLASSES, **more)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.2, 0.2)
        if isinstance(module, (torch.nn.Dropout, torchvision.ops.StochasticDepth)):
            module.p = 0.0
    # Running statistics of random images: those of a fresh network would let its values grow from
    # block to block.
    momenta = {m: m.momentum for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)}
    for norm in momenta:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.randn(8, 3, size, size))
    for norm, momentum in momenta.items():
        norm.momentum = momentum
    return model.eval()


def export(model, size, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, torch.zeros(2, 3, size, size), path, opset_version=13,
                          training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False,
                          input_names=["input"], output_names=["logits"],
                          dynamic_axes={"input": {0: "N"}, "logits": {0: "N"}})


def torch_losses(model, images, labels, frozen, rate):
    model = copy.deepcopy(model)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.train(not frozen)
    sgd = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    losses = []
    for x, y in zip(images, labels):
        loss = torch.nn.functional.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(y))
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        losses.append(loss.item())
    return np.array(losses)


def rounded(images, run):
    """In every run after the first, off by about a rounding."""
    noise = np.random.default_rng(run).standard_normal(images.shape).astype("float32")
    return images * (1 + np.float32(1e-7 if run else 0) * noise)


def report_of(name):
    size = SIZES.get(name, 64)
    model = build(name, size)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, name + ".onnx")
        try:
            export(model, size, path)
        except Exception as e:  # of torch: thimble never saw it
            return {"name": name, "refused_by_torch": str(e).split("\n")[0][:200]}
        try:
            net = network.Network(path)
        except network.Failed as e:
            lines = str(e).split("\n")
            return {"name": name, "refused": len(lines) - 1, "first": lines[1:3]}
    rng = np.random.default_rng(1)
    images = rng.standard_normal((STEPS, BATCH, 3, size, size)).astype("float32")
    labels = rng.integers(0, CLASSES, (STEPS, BATCH))
    report = {"name": name, "pixels": size}
    with torch.no_grad():
        expected = model(torch.from_numpy(images[0])).numpy()
    report["outputs"] = float(np.max(np.abs(net.outputs(images[0]) - expected)) /
                              np.max(np.abs(expected)))
    report["same_again"] = net.export()[1]
    norms = any(isinstance(m, torch.nn.BatchNorm2d) for m in model.modules())
    for norm in ["batch", "frozen"] if norms else ["frozen"]:
        frozen = norm == "frozen"
        for rate in RATES:
            theirs = np.array([torch_losses(model, rounded(images, run), labels, frozen, rate)
                               for run in range(RUNS)])
            mean = theirs.mean(0)
            noise = np.abs(theirs - mean).max(0)
            if np.all(noise <= np.maximum(4 * noise[0], CALM * np.maximum(1, np.abs(mean)))):
                break
        ours = np.array(net.train(images, labels, rate, norm)[0])
        still = torch_losses(model, images, labels, frozen, 0)
        allowed = np.maximum(5 * noise, 1e-5 * np.maximum(1, np.abs(mean)))
        report[norm] = {"rate": rate, "losses": ours.tolist(), "torch": mean.tolist(),
                        "noise": noise.tolist(),
                        "moved": float(np.max(np.abs(mean - still) / allowed)),
                        "of_allowed": float(np.max(np.abs(ours - mean) / allowed))}
    report["good"] = report["outputs"] <= 1e-4 and all(
        report[n]["of_allowed"] <= 1 for n in ("batch", "frozen") if n in report)
    return report


def main():
    for name in sys.argv[1:] or NAMES:
        try:
            print(json.dumps(report_of(name)), flush=True)
        except network.Failed as e:
            print(json.dumps({"name": name, "failed": str(e)[:400]}), flush=True)


if __name__ == "__main__":
    main()
