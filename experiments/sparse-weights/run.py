#!/usr/bin/python3
"""What does sparse training cost in accuracy, and what does it save?

  experiments/sparse-weights/run.py --data FOLDER [--model M --width W --batch B --epochs N --lr X]
      [--sparsity S] [--seeds N,...] [--threads N] [--ways dense,static,set,rigl,mest]
      [--flag FLAG ...]  >> results.jsonl

Trains the same network each way with the same seed and settings, a process at a time, and prints one
JSON object for each: accuracy on the test split, parameters in the plan, planned and measured bytes
of the process, the median step (of no use unless the machine is quiet).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", default="resnet18_cifar")
    parser.add_argument("--width", default="0.25")
    parser.add_argument("--batch", default="128")
    parser.add_argument("--epochs", default="6")
    parser.add_argument("--lr", default="0.1")
    parser.add_argument("--sparsity", default="0.9")
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--ways", default="dense,static,set,rigl")
    parser.add_argument("--flag", action="append", default=[], help="passed on as it is")
    parser.add_argument("--thimble", default="build/release/thimble")
    options = parser.parse_args()
    for seed in options.seeds.split(","):
        for way in options.ways.split(","):
            with tempfile.TemporaryDirectory() as temp:
                line = [options.thimble, "train", "--json", "--model", options.model, "--width",
                        options.width, "--batch", options.batch, "--epochs", options.epochs, "--lr",
                        options.lr, "--seed", seed, "--threads", options.threads, "--data", options.data,
                        "--run", os.path.join(temp, "run")] + options.flag
                if way != "dense":
                    line += ["--sparsity", options.sparsity, "--sparse-method", way]
                done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                      text=True)
                if done.returncode != 0:
                    sys.exit(f"{' '.join(line)}\nended with {done.returncode}\n{done.stderr[-2000:]}")
                report = json.loads(done.stdout)
            row = {"way": way, "sparsity": float(options.sparsity) if way != "dense" else 0,
                   "model": options.model, "width": float(options.width), "flags": options.flag,
                   "batch": int(options.batch), "epochs": int(options.epochs),
                   "lr": float(options.lr), "seed": int(seed)}
            for name in ["accuracy", "loss", "process_bytes", "peak_rss_bytes", "by_category",
                         "step_seconds_median"]:
                row[name] = report.get(name)
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
