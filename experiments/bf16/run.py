#!/usr/bin/python3
"""What do bf16 activations cost in accuracy, and what do they save in time and bytes?

  experiments/bf16/run.py step [--rounds N] [MODEL:BATCH:SIZE ...]   >> step.jsonl
  experiments/bf16/run.py accuracy [--seeds N,...] MODEL:WIDTH:DATA:BATCH:EPOCHS:LR ...  >> accuracy.jsonl

`step`: an fp32 and a bf16 process, both alive, take turns step by step; 2 threads, batch norm, SGD
with momentum 0.9. Each does one step from the same weights on the same batch first: the losses must
agree within 3%, or no time counts. `accuracy`: trains both ways, same seed and settings.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "bench"))
import contestants

THIMBLE = os.environ.get("THIMBLE", os.path.join(ROOT, "build", "release", "thimble"))
STEP_CASES = ["resnet50:8:224", "mobilenet_v1:8:224", "mobilenet_v1_patch:32:32",
              "resnet18_cifar:128:32"]
CLASSES = 8
LEARNING_RATE = 1e-6
TOLERANCE = 0.03


def mib(count):
    return round(count / 2**20, 1)


def measure_step(case, rounds):
    model, batch, size = case.split(":")
    batch, size = int(batch), int(size)
    with tempfile.TemporaryDirectory() as folder:
        batches = os.path.join(folder, "batches.safetensors")
        contestants.make_batches(batches, 1, (batch, 3, size, size), CLASSES)
        running = {name: contestants.Thimble(model, batch, size, CLASSES, "batch", 1,
                                             os.path.join(folder, "weights.safetensors"), batches,
                                             LEARNING_RATE, allow=allow)
                   for name, allow in (("fp32", None), ("bf16", "bf16"))}
        losses = {name: c.step(0)[1] for name, c in running.items()}
        if abs(losses["bf16"] / losses["fp32"] - 1) > TOLERANCE:
            raise SystemExit(f"{case}: the first losses differ: {losses}")
        seconds = {name: [] for name in running}
        for _ in range(rounds):
            for name, c in running.items():
                seconds[name].append(c.step(0)[0])
        for c in running.values():
            c.close()
    medians = {name: statistics.median(s) for name, s in seconds.items()}
    return {"case": case, "rounds": rounds, "first_loss": losses,
            "median_ms": {n: round(1e3 * m, 2) for n, m in medians.items()},
            "min_ms": {n: round(1e3 * min(s), 2) for n, s in seconds.items()},
            "ratio": round(medians["bf16"] / medians["fp32"], 3),
            "arena_mib": {n: mib(c.arena_bytes) for n, c in running.items()},
            "peak_mib": {n: mib(c.peak_bytes) for n, c in running.items()}}


def train(case, seed, allow):
    model, width, data, batch, epochs, rate = case.split(":")
    with tempfile.TemporaryDirectory() as folder:
        command = [THIMBLE, "train", "--model", model, "--width", width, "--data", data, "--batch",
                   batch, "--epochs", epochs, "--lr", rate, "--seed", str(seed), "--threads", "2",
                   "--run", os.path.join(folder, "run"), "--json"]
        result = subprocess.run(command + (["--allow", allow] if allow else []),
                                stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(result.stdout)


def measure_accuracy(case, seed):
    reports = {"fp32": train(case, seed, None), "bf16": train(case, seed, "bf16")}
    accuracy = {n: r["accuracy"] for n, r in reports.items()}
    shown = case.split(":")
    shown[2] = os.path.basename(os.path.normpath(shown[2]))
    return {"case": ":".join(shown), "seed": seed, "accuracy": accuracy,
            "lost_points": round(100 * (accuracy["fp32"] - accuracy["bf16"]), 2),
            "techniques": reports["bf16"].get("techniques", "")}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["step", "accuracy"])
    parser.add_argument("cases", nargs="*")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seeds", default="0,1")
    options = parser.parse_intermixed_args()
    if options.what == "step":
        for case in options.cases or STEP_CASES:
            print(json.dumps(measure_step(case, options.rounds)), flush=True)
        return
    for case in options.cases:
        for seed in options.seeds.split(","):
            print(json.dumps(measure_accuracy(case, int(seed))), flush=True)


if __name__ == "__main__":
    main()
