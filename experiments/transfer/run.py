#!/usr/bin/env python3
"""Fine-tunes one network on one data set in seven ways, with three seeds each, and prints a table:
peak of the process, activation bytes, milliseconds a step, accuracy.

  experiments/transfer/run.py MODEL DATA [--epochs N] [--seeds N] [--only NAME,...] [--out FILE]

MODEL is *.onnx or *.thimble. Flags that are not known here are passed on. Each run is `thimble
train`, in a process of its own, and its line is appended to FILE as JSON when it has ended: runs that
are there already are not run again.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
THIMBLE = os.environ.get("THIMBLE", str(ROOT / "build/release/thimble"))

# Learning rates of Adam: of 1e-4, 3e-4 and 1e-3 the sources' nearest (TinyTL, Rep-Net: batch 8, 1e-4
# to 1e-3). Norms of the backbone are frozen, so that all of it fits the budget; side norms are not.
WAYS = {
    "head": ["--train", "head", "--norm", "frozen", "--lr", "1e-3"],
    "last six": ["--train", "last:6", "--norm", "frozen", "--lr", "3e-4"],
    "bias": ["--train", "bias,head", "--norm", "frozen", "--lr", "1e-3"],
    "rep-net": ["--side", "rep-net", "--train", "side,head", "--lr", "1e-3"],
    "tinytl": ["--side", "tinytl", "--train", "side,bias,head", "--norm", "frozen", "--lr", "1e-3"],
    "pruned rep-net": ["--side", "rep-net", "--train", "side,head", "--lr", "1e-3"],
    "everything": ["--train", "all", "--norm", "frozen", "--lr", "1e-4"],
}


def answer(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}")
    return json.loads(done.stdout)


def activation_bytes(plan):
    parts = plan["by_category"]
    return parts["saved"] + parts["temporaries"] + parts["scratchpad"]


def train(way, model, args, seed, folder):
    run = pathlib.Path(folder) / "run"
    shutil.rmtree(run, ignore_errors=True)
    what = ["--model", model, "--batch", "8", "--optimizer", "adam", "--threads",
            str(args.threads), "--json", *WAYS[way], *args.flags, "--data", args.data]
    command = [THIMBLE, "train", *what, "--flip", "--epochs", str(args.epochs), "--seed", str(seed),
               "--budget", args.budget, "--run", str(run)]
    unbounded = answer([THIMBLE, "plan", *what])
    report = answer(command)
    return {"way": way, "seed": seed, "model": pathlib.Path(model).name, "epochs": args.epochs,
            "threads": args.threads, "command": [pathlib.Path(word).name for word in command[1:]], "accuracy": report["accuracy"],
            "peak_bytes": report["peak_rss_bytes"], "planned_bytes": report["process_bytes"],
            "arena_bytes": report["arena_bytes"],
            "activation_bytes": activation_bytes(report),
            "unbounded_activation_bytes": activation_bytes(unbounded),
            "techniques": report["techniques"], "promise": report["promise"],
            "trained": report["parameters"], "step_ms": 1e3 * report["step_seconds_median"]}


def table(lines):
    print("| way | trained | peak MiB | activation MiB | without a budget | ms a step | "
          "accuracy (mean, each) |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for way in WAYS:
        rows = [line for line in lines if line["way"] == way]
        if not rows:
            continue
        middle = lambda field: statistics.median(row[field] for row in rows)
        each = ", ".join(f"{row['accuracy']:.3f}" for row in rows)
        mean = statistics.mean(row["accuracy"] for row in rows)
        print(f"| {way} | {rows[0]['trained']} | {max(r['peak_bytes'] for r in rows) / 2**20:.1f} | "
              f"{middle('activation_bytes') / 2**20:.2f} | "
              f"{middle('unbounded_activation_bytes') / 2**20:.2f} | {middle('step_ms'):.1f} | "
              f"{mean:.3f} ({each}) |")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--pruned", help="the same network, pruned: for the way 'pruned rep-net'")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--budget", default="32MiB")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default=",".join(WAYS))
    parser.add_argument("--out", default="transfer.jsonl")
    args, args.flags = parser.parse_known_args()
    out = pathlib.Path(args.out)
    lines = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(1, args.seeds + 1):
            for way in args.only.split(","):
                if any(line["way"] == way and line["seed"] == seed for line in lines):
                    continue
                model = args.pruned if way.startswith("pruned") else args.model
                if model is None:
                    continue
                lines.append(train(way, model, args, seed, folder))
                with out.open("a") as file:
                    file.write(json.dumps(lines[-1]) + "\n")
                print(f"{way}, seed {seed}: {lines[-1]['accuracy']:.3f}", file=sys.stderr)
    table(lines)


if __name__ == "__main__":
    main()
