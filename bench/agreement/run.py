#!/usr/bin/python3
"""How far from PyTorch in float64 are thimble's losses and gradients, beside PyTorch's own float32?

  bench/agreement/run.py [MODEL:BATCH:SIZE:CLASSES ...]

From the same weights and batches: five losses, and the first step's gradient of every weight. The
distance of gradients is the l2 norm of the difference, relative, over all weights together and for
the worst weight. A small learning rate: at large ones these networks are chaotic.

One ReLU that rounding flips moves a gradient by about 1e-3, and one run in float32 has such a flip
where another has none. So several batches are drawn, and the summary compares the root mean squares
over them: `ratio` is thimble's distance over PyTorch's.
"""

import json
import os
import subprocess
import sys
import tempfile

import numpy

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import contestants
import safetensors

LEARNING_RATE = 1e-5
STEPS = 5
SEEDS = range(5)  # of the batches
CASES = ["resnet18_cifar:16:32:10", "mobilenet_v1:8:128:8", "mobilenet_v2:8:128:10"]


def torch_run(folder, model, size, classes, dtype, extra=()):
    gradients = os.path.join(folder, f"torch_{dtype}{len(extra)}.safetensors")
    report = subprocess.run(
        ["/usr/bin/python3", contestants.TORCH, "--model", model, "--height", str(size),
         "--classes", str(classes), "--weights", os.path.join(folder, "weights.safetensors"),
         "--batches", os.path.join(folder, "batches.safetensors"), "--lr", str(LEARNING_RATE),
         "--steps", str(STEPS), "--dtype", dtype, "--threads", "2", "--gradients", gradients,
         *extra], check=True, capture_output=True, text=True)
    return json.loads(report.stdout)["losses"], safetensors.load(gradients)


def thimble_run(folder, model, batch, size, classes):
    weights = os.path.join(folder, "weights.safetensors")
    after = os.path.join(folder, "after.safetensors")
    contestant = contestants.Thimble(model, batch, size, classes, "batch", 1, weights,
                                     os.path.join(folder, "batches.safetensors"), LEARNING_RATE)
    losses = []
    for k in range(STEPS):
        losses.append(contestant.step(k)[1])
        if k == 0:
            contestant.save(after)  # momentum starts at zero: after one step it is the gradient
    contestant.close()
    prefix = "optimizer.momentum."
    gradients = {name[len(prefix):]: value for name, value in safetensors.load(after).items()
                 if name.startswith(prefix)}
    return losses, gradients


def distance(gradients, reference):
    """Relative l2 distance over everything, and of the worst weight."""
    worst, total, size = 0.0, 0.0, 0.0
    for name, expected in reference.items():
        difference = numpy.sum((gradients[name].astype("float64") - expected) ** 2)
        norm = numpy.sum(expected.astype("float64") ** 2)
        worst = max(worst, float(numpy.sqrt(difference / max(norm, 1e-300))))
        total, size = total + difference, size + norm
    return float(numpy.sqrt(total / size)), worst


def compare(case, seed):
    model, batch, size, classes = case.split(":")
    batch, size, classes = int(batch), int(size), int(classes)
    with tempfile.TemporaryDirectory() as folder:
        contestants.make_batches(os.path.join(folder, "batches.safetensors"), STEPS,
                                 (batch, 3, size, size), classes, seed)
        ours, our_gradients = thimble_run(folder, model, batch, size, classes)
        exact, exact_gradients = torch_run(folder, model, size, classes, "float64")
        theirs, their_gradients = torch_run(folder, model, size, classes, "float32")
    loss = [max(abs(a - b) for a, b in zip(run, exact)) for run in (ours, theirs)]
    gradient = [distance(g, exact_gradients) for g in (our_gradients, their_gradients)]
    return {"case": case, "seed": seed, "losses_float64": exact,
            "loss_distance": {"thimble": loss[0], "torch_float32": loss[1]},
            "gradient_distance": {"thimble": gradient[0][0], "torch_float32": gradient[1][0]},
            "worst_weight": {"thimble": gradient[0][1], "torch_float32": gradient[1][1]}}


def summary(case, reports):
    result = {"case": case, "seeds": len(reports)}
    for what in ("loss_distance", "gradient_distance"):
        mean = {who: float(numpy.sqrt(numpy.mean([r[what][who] ** 2 for r in reports])))
                for who in ("thimble", "torch_float32")}
        result[what] = dict(mean, ratio=round(mean["thimble"] / mean["torch_float32"], 2))
    return result


def main():
    for case in sys.argv[1:] or CASES:
        reports = [compare(case, seed) for seed in SEEDS]
        for report in reports + [summary(case, reports)]:
            print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
