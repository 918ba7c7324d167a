#!/usr/bin/python3
"""What does --offload buy, and what does it cost? Prints one JSON object for each way to train.

  experiments/offload/run.py --folder FOLDER [--model M --batch B --side S] [--rounds N]
      [--thimble FILE] > results.jsonl

Trains a few steps on made-up pictures: without a budget, in the smallest budget that does without
a file, in the same budget with `--offload FOLDER`, and in the smallest budget with it. Rounds take
turns, and the median of their medians counts. All must reach the same bits. Run
`thimble calibrate` of the model before, so that the planner knows the machine.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from made_up_data import write_idx

MIB = 1 << 20


def train(options, temp, flags):
    run = os.path.join(temp, "run")
    subprocess.run(["rm", "-rf", run], check=True)
    line = [options.thimble, "train", "--json", "--model", options.model, "--batch",
            str(options.batch), "--input", f"1x{options.side}x{options.side}", "--data", temp,
            "--threads", "2", "--seed", "1", "--run", run] + flags
    done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    report = json.loads(done.stdout)
    if done.returncode not in (0, 3):
        sys.exit(done.stderr)
    model = os.path.join(run, "model.safetensors")
    if done.returncode == 0:
        with open(model, "rb") as file:
            report["weights"] = hashlib.sha256(file.read()).hexdigest()
    return report


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", required=True)
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--thimble", default="build/release/thimble")
    options = parser.parse_args()
    paging = ["--offload", options.folder]
    with tempfile.TemporaryDirectory() as temp:
        write_idx(temp, "train", options.batch * options.steps)
        write_idx(temp, "t10k", options.batch)
        smallest = [train(options, temp, ["--budget", "1MiB"] + flags)["smallest_budget_bytes"]
                    for flags in ([], paging)]
        ways = {"no budget": [],
                "smallest without": ["--budget", str(smallest[0])],
                "the same with": ["--budget", str(smallest[0])] + paging,
                "smallest with": ["--budget", str(smallest[1])] + paging}
        reports = {way: [] for way in ways}
        for _ in range(options.rounds):
            for way, flags in ways.items():
                reports[way].append(train(options, temp, flags))
    weights = {r["weights"] for all in reports.values() for r in all}
    plain = None
    for way, all in reports.items():
        seconds = statistics.median(r["step_seconds_median"] for r in all)
        plain = plain or seconds
        last = all[-1]
        print(json.dumps({
            "case": f"{options.model}:{options.batch}:{options.side}", "way": way,
            "budget_mib": round(last["budget_bytes"] / MIB, 1),
            "planned_mib": round(last["process_bytes"] / MIB, 1),
            "peak_mib": round(max(r["peak_rss_bytes"] for r in all) / MIB, 1),
            "paged_mib_a_step": round(last["paged_bytes"] / MIB, 1),
            "step_ms": round(1000 * seconds, 1), "ratio": round(seconds / plain, 3),
            "predicted_ms": round(1000 * last["predicted_step_seconds"], 1),
            "same_bits": len(weights) == 1,
            "techniques": [t for t in last["techniques"] if not t.startswith("about")]}))


main()
