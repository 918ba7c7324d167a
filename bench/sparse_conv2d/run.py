#!/usr/bin/python3
"""Is a pointwise convolution on active blocks faster than oneDNN's dense one?

  bench/sparse_conv2d/run.py [--rounds N] [--threads N] [IN:OUT:SIDE:BATCH ...]  > results.jsonl

Forward and both gradients, 90% sparse in blocks of 16 outputs, taking turns with the dense
convolution of the same values in one process; their results must agree first. Medians of the
kernels alone, in the layouts that the network has.
"""

import argparse
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CASES = ["256:256:14:8", "512:512:14:8", "1024:256:14:8", "256:1024:14:8", "512:2048:7:8",
         "256:256:28:8", "512:512:28:8"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", default="51")
    parser.add_argument("--threads", default="2")
    parser.add_argument("cases", nargs="*", default=CASES)
    options = parser.parse_args()
    program = os.path.join(ROOT, "build", "release", "bench", "bench_sparse_conv2d")
    for case in options.cases:
        line = [program] + case.split(":") + ["0.9", options.rounds, options.threads]
        if subprocess.run(line).returncode != 0:
            sys.exit(f"{' '.join(line)} failed")


if __name__ == "__main__":
    main()
