#!/usr/bin/python3
"""What does a sparse step take beside the dense one? Prints one JSON object for each way.

  experiments/sparse-weights/steps.py [--model M --batch B --side S] [--sparsity S] [--rounds N]
      [--steps N] [--thimble FILE] > steps.jsonl

Trains a few steps on made-up pictures, each way in a process of its own, rounds taking turns; a
step is the median over rounds of the runs' medians. Changes of positions come every second step
with `changing`, so that half of the steps have one; otherwise none.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from made_up_data import write_idx

MIB = 1 << 20


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--sparsity", default="0.9")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--thimble", default="build/release/thimble")
    options = parser.parse_args()
    sparse = ["--sparsity", options.sparsity, "--sparse-method"]
    ways = {"dense": [], "positions": sparse + ["static"],
            "positions, changing": sparse + ["rigl", "--sparse-every", "2", "--sparse-until", "1"],
            "blocks": sparse + ["static", "--sparse-format", "blocks"]}
    seconds = {way: [] for way in ways}
    reports = {}
    with tempfile.TemporaryDirectory() as temp:
        write_idx(temp, "train", options.batch * options.steps)
        write_idx(temp, "t10k", options.batch)
        for _ in range(options.rounds):
            for way, flags in ways.items():
                run = os.path.join(temp, "run")
                subprocess.run(["rm", "-rf", run], check=True)
                line = [options.thimble, "train", "--json", "--model", options.model, "--batch",
                        str(options.batch), "--input", f"1x{options.side}x{options.side}",
                        "--data", temp, "--threads", "2", "--seed", "1", "--run", run] + flags
                done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                      text=True)
                if done.returncode != 0:
                    sys.exit(done.stderr)
                reports[way] = json.loads(done.stdout)
                seconds[way].append(reports[way]["step_seconds_median"])
    dense = statistics.median(seconds["dense"])
    for way in ways:
        step = statistics.median(seconds[way])
        print(json.dumps({
            "case": f"{options.model}:{options.batch}:{options.side}", "way": way,
            "sparsity": float(options.sparsity) if way != "dense" else 0,
            "step_ms": round(step * 1e3, 1), "ratio": round(step / dense, 3),
            "runs_ms": [round(s * 1e3, 1) for s in seconds[way]],
            "planned_mib": round(reports[way]["process_bytes"] / MIB, 1),
            "peak_mib": round(reports[way]["peak_rss_bytes"] / MIB, 1)}))


if __name__ == "__main__":
    main()
