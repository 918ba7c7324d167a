#!/usr/bin/python3
"""What does inverting buy beside recomputing? Trains ResNet-18 for CIFAR under budgets, twice: with
ReLU, where only recomputing applies, and with leaky ReLU, where the planner may also invert.

  experiments/invert/run.py [--batch N] [--steps N] [--thimble FILE]  > .../results.jsonl

First the plan without a budget and the smallest budget of each, then the same budgets for both,
taking turns. A step is the median of `--steps` in a run of the whole program on made-up pictures.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from made_up_data import write_idx

MIB = 1 << 20
ACTIVATIONS = ["relu", "leaky_relu"]


def report_of(options, command, activation, budget, *more):
    line = [options.thimble, command, "--model", "resnet18_cifar", "--batch", str(options.batch),
            "--input", "1x32x32", "--option", f"activation={activation}", "--json", *more]
    if budget:
        line += ["--budget", str(budget)]
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode not in (0, 3):
        raise SystemExit(f"{' '.join(line)}\nended with {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


def trained(options, activation, budget):
    with tempfile.TemporaryDirectory() as folder:
        write_idx(folder, "train", options.steps * options.batch)
        write_idx(folder, "t10k", options.batch)
        report = report_of(options, "train", activation, budget, "--data", folder, "--epochs", "1",
                           "--lr", "0.001", "--run", os.path.join(folder, "run"))
    row = {"activation": activation, "batch": options.batch, "budget_bytes": budget,
           "fits": report["fits"], "smallest_budget_bytes": report["smallest_budget_bytes"]}
    if report["fits"]:
        for name in ["process_bytes", "peak_rss_bytes", "promise", "techniques",
                     "predicted_step_seconds", "step_seconds_median", "loss"]:
            row[name] = report[name]
    return row


def main():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    parser = argparse.ArgumentParser()
    parser.add_argument("--thimble", default=os.path.join(root, "build/release/thimble"))
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--budgets", help="MiB, with commas between; else from smallest to largest")
    options = parser.parse_args()
    if options.budgets:
        budgets = [float(b) for b in options.budgets.split(",")]
    else:
        smallest = min(trained(options, a, MIB)["smallest_budget_bytes"] for a in ACTIVATIONS)
        largest = report_of(options, "plan", "relu", 0)["process_bytes"] + MIB
        budgets = [(smallest + (largest - smallest) * i / 8) / MIB for i in range(9)]
    for budget in budgets:
        for activation in ACTIVATIONS:
            row = trained(options, activation, int(budget * MIB) if budget else 0)
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
