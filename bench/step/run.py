#!/usr/bin/python3
"""How long is a training step beside PyTorch's? The answer is checked before the time counts.

  bench/step/run.py [--rounds N] [MODEL:BATCH:SIZE:CLASSES ...]  > results.jsonl

One process a contestant, all alive at once, taking turns step by step, so that a noisy machine is
equally noisy for all: thimble; PyTorch with its usual layout; PyTorch channels-last. PyTorch runs
with the allocator settings of contestants.TUNED. fp32, batch norm, SGD with momentum 0.9, 2 threads.
`ratio` is thimble's median over the better of PyTorch's two medians. `--profile` adds thimble's
seconds by kind of kernel.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import contestants

# Model, batch, image side, classes; how far the losses of the first steps may lie apart, relative.
CASES = ["resnet50:8:224:8", "mobilenet_v1:8:224:8", "mobilenet_v1_patch:32:32:8",
         "mobilenet_v1_patch:1:32:8", "resnet18_cifar:128:32:10"]
CHECKED_STEPS = 3
TOLERANCE = 5e-3
LEARNING_RATE = 1e-6  # larger ones make small batches chaotic
BATCHES = 3


def start(folder, case):
    model, batch, size, classes = case.split(":")
    batch, size, classes = int(batch), int(size), int(classes)
    weights = os.path.join(folder, "weights.safetensors")
    batches = os.path.join(folder, "batches.safetensors")
    contestants.make_batches(batches, BATCHES, (batch, 3, size, size), classes)
    thimble = contestants.Thimble(model, batch, size, classes, "batch", 1, weights, batches,
                                  LEARNING_RATE)
    torch = (model, size, classes, "batch", weights, batches, LEARNING_RATE)
    return {"thimble": thimble,
            "torch": contestants.Torch(*torch),
            "torch_channels_last": contestants.Torch(*torch, channels_last=True)}


def check(case, running):
    """The same losses from the same weights, or no times."""
    for k in range(CHECKED_STEPS):
        losses = {name: c.step(k % BATCHES)[1] for name, c in running.items()}
        spread = max(losses.values()) - min(losses.values())
        if spread > TOLERANCE * max(1.0, abs(losses["torch"])):
            raise SystemExit(f"{case}: losses differ at step {k}: {losses}")


def measure(case, rounds, profile):
    with tempfile.TemporaryDirectory() as folder:
        running = start(folder, case)
        check(case, running)
        seconds = {name: [] for name in running}
        for k in range(rounds):
            for name, contestant in running.items():
                seconds[name].append(contestant.step(k % BATCHES)[0])
        kinds = running["thimble"].profile(0) if profile else []
        for contestant in running.values():
            contestant.close()
    medians = {name: statistics.median(s) for name, s in seconds.items()}
    best = min(medians["torch"], medians["torch_channels_last"])
    report = {"case": case, "rounds": rounds,
              "median_ms": {n: round(1e3 * m, 2) for n, m in medians.items()},
              "min_ms": {n: round(1e3 * min(s), 2) for n, s in seconds.items()},
              "ratio": round(medians["thimble"] / best, 3)}
    if profile:
        report["kinds_ms"] = {name: [round(1e3 * s, 2), n] for s, n, name in kinds}
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", default=CASES)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--profile", action="store_true")
    args = parser.parse_args()
    for case in args.cases:
        print(json.dumps(measure(case, args.rounds, args.profile)), flush=True)


if __name__ == "__main__":
    main()
