#!/usr/bin/python3
"""Does the promise hold? Trains 42 (model, batch, budget) cases under their budget and looks at the
peak of the process.

  experiments/budget-contract/run.py [--first N] [--count N] [--thimble FILE]  > .../results.jsonl

For each model, batch and norm three budgets: the smallest that `thimble train` names when it refuses,
halfway to what the plan without a budget takes and 1 MiB, and that itself. Every run is the whole program (data loader,
training, evaluation, checkpoint files) on small made-up IDX files. Must hold: every run ends by
itself, its peak (VmHWM) is never above the budget, and lies within 3% of the plan where the plan
is at least 24 MiB (what differs from start to start is up to 300 KiB).

--cgroup FOLDER takes a memory cgroup (v1) that you may write to: every third case then runs in a
cgroup of its own with `memory.limit_in_bytes` = budget, and the system kills what goes over.
(`prlimit` has no such limit: RLIMIT_RSS does nothing on Linux, RLIMIT_AS and RLIMIT_DATA count
addresses that nobody touches, of which planning takes an arena's worth.)
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from made_up_data import write_idx

# Model, batch, side, norm, backend, threads.
PAIRS = [("lenet", 512, 28, "batch", "auto", 2),
         ("lenet", 256, 28, "batch", "portable", 1),
         ("mobilenet_v1_patch", 32, 32, "batch", "auto", 2),
         ("mobilenet_v1_patch", 16, 32, "group", "auto", 1),
         ("mobilenet_v1_patch", 4, 32, "frozen", "portable", 2),
         ("resnet18_cifar", 16, 32, "batch", "auto", 2),
         ("resnet18_cifar", 8, 32, "group", "auto", 2),
         ("resnet18_cifar", 1, 32, "frozen", "portable", 2),
         ("mobilenet_v1", 4, 96, "batch", "auto", 2),
         ("mobilenet_v1", 4, 96, "frozen", "auto", 2),
         ("mobilenet_v2", 4, 96, "batch", "auto", 2),
         ("mobilenet_v2", 4, 96, "group", "auto", 2),
         ("resnet50", 4, 96, "batch", "auto", 2),
         ("resnet50", 2, 96, "frozen", "auto", 2)]
SHARES = [0, 0.5, 1]
LARGE = 24 << 20


def flags_of(pair):
    model, batch, side, norm, backend, threads = pair
    return ["--model", model, "--batch", str(batch), "--input", f"1x{side}x{side}", "--norm", norm,
            "--backend", backend, "--threads", str(threads), "--json"]


def report_of(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode not in (0, 3, 4):
        raise SystemExit(f"{' '.join(command)}\nended with {done.returncode}\n{done.stderr}")
    return done.returncode, json.loads(done.stdout)


class Limit:
    """A cgroup of so many bytes. Called in the child, before the program."""

    def __init__(self, cgroup, budget):
        self.folder = os.path.join(cgroup, f"thimble-contract-{os.getpid()}")
        os.mkdir(self.folder)
        with open(os.path.join(self.folder, "memory.limit_in_bytes"), "w") as file:
            file.write(str(budget))

    def __call__(self):
        with open(os.path.join(self.folder, "cgroup.procs"), "w") as file:
            file.write(str(os.getpid()))

    def end(self):
        os.rmdir(self.folder)


def train_command(options, pair, budget, folder):
    return [options.thimble, "train", "--budget", str(budget), "--data", folder, "--epochs", "1",
            "--lr", "0.001", "--run", os.path.join(folder, "run")] + flags_of(pair)


def range_of(options, pair):
    """The smallest budget, and one at which nothing needs to be saved."""
    with tempfile.TemporaryDirectory() as folder:
        write_idx(folder, "train", 3 * pair[1])
        write_idx(folder, "t10k", pair[1])
        _, refused = report_of(train_command(options, pair, 1 << 20, folder))
    _, free = report_of([options.thimble, "plan"] + flags_of(pair))
    smallest = refused["smallest_budget_bytes"]
    return smallest, max(smallest, free["process_bytes"] + (1 << 20))


def run_case(options, pair, share, budget, hard):
    batch = pair[1]
    limit = Limit(options.cgroup, budget) if hard and options.cgroup else None
    with tempfile.TemporaryDirectory() as folder:
        write_idx(folder, "train", 3 * batch)
        write_idx(folder, "t10k", batch)
        try:
            code, report = report_of(train_command(options, pair, budget, folder),
                                     preexec_fn=limit)
        finally:
            if limit:
                limit.end()
    row = {"model": pair[0], "batch": batch, "side": pair[2], "norm": pair[3],
           "backend": pair[4], "threads": pair[5], "share": share, "budget_bytes": budget,
           "process_bytes": report["process_bytes"], "exit": code,
           "limit": "cgroup" if limit else ""}
    if code != 3:
        row["peak_rss_bytes"] = report["peak_rss_bytes"]
        row["peak_to_plan"] = round(report["peak_rss_bytes"] / report["process_bytes"], 4)
        row["peak_to_budget"] = round(report["peak_rss_bytes"] / budget, 4)
    return row


def fault_of(row):
    if row["exit"] != 0:
        return f"ended with {row['exit']}"
    if row["peak_rss_bytes"] > row["budget_bytes"]:
        return "went over its budget"
    if row["process_bytes"] >= LARGE and not 0.97 <= row["peak_to_plan"] <= 1.03:
        return "is not where the plan says"
    return ""


def main():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    parser = argparse.ArgumentParser()
    parser.add_argument("--thimble", default=os.path.join(root, "build/release/thimble"))
    parser.add_argument("--first", type=int, default=0, help="the first model to run")
    parser.add_argument("--count", type=int, default=len(PAIRS), help="models to run")
    parser.add_argument("--cgroup", help="a memory cgroup (v1) to make limits in")
    options = parser.parse_args()
    faults = 0
    for number, pair in list(enumerate(PAIRS))[options.first:options.first + options.count]:
        smallest, largest = range_of(options, pair)
        for i, share in enumerate(SHARES):
            budget = int(smallest + share * (largest - smallest))
            row = run_case(options, pair, share, budget, hard=(number + i) % 3 == 0)
            print(json.dumps(row), flush=True)
            fault = fault_of(row)
            if fault:
                faults += 1
                print(f"{row['model']} batch {row['batch']} {row['norm']}: {fault}",
                      file=sys.stderr)
    raise SystemExit(1 if faults else 0)


if __name__ == "__main__":
    main()
