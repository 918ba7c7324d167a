#!/usr/bin/python3
"""Are pretrained models what PyTorch says they are, and do they train so?

  experiments/onnx/golden.py MODELS_FOLDER [BACKEND]

For each MODELS_FOLDER/*.onnx: imports, exports, imports again, compares outputs with
MODELS_FOLDER/golden/<name>.npz, and, where that has sequences, the losses of training, the first
step's gradients and the running statistics. A line of JSON each; exit code 1 when a bar is missed.
"""

import glob
import json
import os
import sys

import numpy as np
import onnx

import network
import reference
import safetensors

RELATIVE = 1e-4  # of outputs


def images_of(golden, name):
    if name in golden:
        return golden[name]
    x = golden[name + "_u8"].astype("float32")
    shape = (1,) * (x.ndim - 3) + (-1, 1, 1)
    return x * golden["x_scale"].reshape(shape) + golden["x_bias"].reshape(shape)


def distance(got, expected):
    return float(np.max(np.abs(got - expected)) / np.max(np.abs(expected)))


def sequence(net, golden, s, backend):
    images, labels = images_of(golden, "train_x"), golden["train_y"]
    heads = ",".join(n.decode() for n in golden["head_params"])
    trained = {"head_only": heads}.get(s, "not-norms" if "affine" in s else "all")
    norm = "batch" if "bn_train" in s else "frozen"
    losses, first, after = net.train(images, labels, golden["lr_" + s], norm, trained, backend)
    expected, noise = golden[f"loss_{s}_f64"], golden[f"loss_{s}_noise"]
    allowed = np.maximum(5 * noise, 1e-5 * np.maximum(1, np.abs(expected)))
    off = np.abs(np.array(losses) - expected)
    binding = 5 if s.endswith("_small") or s == "head_only" else 2
    report = {"sequence": s, "losses": losses,
              "of_allowed": [float(f"{v:.3g}") for v in (off / allowed)[:binding]]}
    good = bool(np.all(off[:binding] <= allowed[:binding]))
    base = s.replace("_small", "")
    if f"grad0_l2_{base}_f64" in golden:
        norms = golden[f"grad0_l2_{base}_f64"]
        # A gradient that is zero but for rounding has no direction.
        large = norms > 1e-4 * norms.max()
        names = [n.decode() for n in golden["param_names"]]
        got = np.array([np.linalg.norm(first["optimizer.momentum." + n]) for n in names])
        report["gradient_norms"] = float(np.max(np.abs(got - norms)[large] / norms[large]))
        full = [k for k in golden.files if k.startswith(f"grad0_{base}/")]
        pairs = [(first["optimizer.momentum." + k.split("/", 1)[1]], golden[k]) for k in full]
        report["gradients"] = float(np.sqrt(sum(np.sum((a - b) ** 2) for a, b in pairs) /
                                            sum(np.sum(b ** 2) for _, b in pairs)))
        report["gradient_noise"] = float(golden[f"grad0_noise_{base}"])
        good = good and report["gradients"] <= max(5 * report["gradient_noise"], 1e-5)
    statistics = [k for k in golden.files if k.startswith(f"after_{s}/")]
    if statistics and s.endswith("_small"):
        ended = safetensors.load(after)
        report["statistics"] = max(distance(ended[k.split("/", 1)[1]], golden[k])
                                   for k in statistics)
        good = good and report["statistics"] <= max(1e-5, 5 * np.max(noise))
    if binding == 5:
        y = net.outputs(images_of(golden, "x"), after, backend)
        expected_y = golden[f"y_after_{s}_f64"]
        report["outputs_after"] = float(np.max(np.abs(y - expected_y)))
        report["outputs_after_noise"] = float(golden[f"y_after_{s}_noise"])
    report["good"] = bool(good)
    return report


def model(path, backend):
    name = os.path.splitext(os.path.basename(path))[0]
    found = os.path.join(os.path.dirname(path), "golden", name + ".npz")
    golden = np.load(found) if os.path.exists(found) else None
    net = network.Network(path)
    exported, same = net.export()
    onnx.checker.check_model(onnx.load(exported))
    names = lambda p: {t.name for t in onnx.load(p).graph.initializer}  # noqa: E731
    if golden is None:  # of two models there is none
        shape = [d.dim_value for d in onnx.load(path).graph.input[0].type.tensor_type.shape.dim][1:]
        images = np.random.default_rng(1).uniform(-1, 1, (2, *shape)).astype("float32")
        expected = reference.run(path, images)
    else:
        images, expected = images_of(golden, "x"), golden["y_f64"]
    off = distance(net.outputs(images, backend=backend), expected)
    exported_off = distance(reference.run(exported, images), expected)
    good = same and off <= RELATIVE and exported_off <= 1e-5
    yield {"model": name, "beside": "reference.py" if golden is None else "golden file",
           "outputs": off, "exported_outputs": exported_off,
           "exported_and_imported_again_the_same": same,
           "keeps_names": names(path) <= names(exported), "good": good}
    for key in golden.files if golden is not None else []:
        if key.startswith("lr_"):
            yield {"model": name, **sequence(net, golden, key[3:], backend)}


def main():
    folder, backend = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "auto"
    good = True
    for path in sorted(glob.glob(os.path.join(folder, "*.onnx"))):
        for report in model(path, backend):
            print(json.dumps(report), flush=True)
            good = good and report["good"]
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
