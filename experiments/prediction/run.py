#!/usr/bin/python3
"""Does a plan's predicted time come true? Calibrates each model once, then trains under budgets.

  experiments/prediction/run.py [--threads N] [CASE ...]  > experiments/prediction/results.jsonl

A case is MODEL:BATCH:INPUT:NORM. For each: `thimble calibrate` without a budget and in the smallest
one, then a short training run in five budgets from the smallest to none, each on made-up IDX data:
three of them are of plans that were not calibrated.
Columns: the predicted seconds of a step, the measured median, and their ratio, which should lie in
[0.87, 1.15]. The machine must be quiet. Calibrations go to a cache of their own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from made_up_data import write_idx

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
THIMBLE = os.environ.get("THIMBLE", os.path.join(ROOT, "build", "release", "thimble"))
CASES = ["resnet50:8:224:batch", "mobilenet_v1:8:224:batch", "mobilenet_v1_patch:32:32:batch",
         "resnet18_cifar:32:32:batch"]
STEPS = 12


def thimble(command, flags, cache):
    done = subprocess.run([THIMBLE, command, "--json", *flags], capture_output=True, text=True,
                          env=dict(os.environ, XDG_CACHE_HOME=cache))
    if done.returncode not in (0, 3):
        raise SystemExit(f"{command} {' '.join(flags)}\n{done.stderr}")
    return json.loads(done.stdout)


def measure(case, threads, cache):
    model, batch, size, norm = case.split(":")
    with tempfile.TemporaryDirectory() as folder:
        write_idx(folder, "train", STEPS * int(batch))
        write_idx(folder, "t10k", int(batch))
        flags = ["--model", model, "--batch", batch, "--input", "3x" + size + "x" + size, "--norm",
                 norm, "--classes", "10", "--threads", str(threads), "--data", folder]
        thimble("calibrate", flags, cache)
        largest = thimble("plan", flags, cache)["process_bytes"]
        smallest = thimble("plan", flags + ["--budget", "1MiB"], cache)["smallest_budget_bytes"]
        thimble("calibrate", flags + ["--budget", str(smallest)], cache)
        # With other times the search may end elsewhere.
        smallest = thimble("plan", flags + ["--budget", "1MiB"], cache)["smallest_budget_bytes"]
        for part in range(5):
            budget = smallest + (largest - smallest) * part // 4 + 2**20
            run = os.path.join(folder, f"run{part}")
            r = thimble("train", flags + ["--epochs", "1", "--lr", "1e-5",
                                          "--budget", str(budget), "--run", run], cache)
            yield {"case": case, "threads": threads, "budget_bytes": budget,
                   "predicted_seconds": r["predicted_step_seconds"],
                   "measured_seconds": r["step_seconds_median"],
                   "ratio": round(r["predicted_step_seconds"] / r["step_seconds_median"], 3),
                   "techniques": r["techniques"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("cases", nargs="*", default=CASES, metavar="CASE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        for case in options.cases:
            for row in measure(case, options.threads, cache):
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    sys.exit(main())
