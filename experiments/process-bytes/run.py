#!/usr/bin/python3
"""Does the process stay where the plan says? Trains each (model, batch) for a few steps.

  experiments/process-bytes/run.py [THIMBLE [BACKEND]]  > experiments/process-bytes/results.jsonl

Every run is the whole program: data loader, training, evaluation, checkpoint files. Data: small
made-up IDX files. Columns: planned process bytes, measured peak (VmHWM), and their ratio, which
must lie in (0.97, 1].
"""

import json
import os
import struct
import subprocess
import sys
import tempfile

PAIRS = [("lenet", 1, 28), ("lenet", 64, 28), ("lenet", 512, 28),
         ("mobilenet_v1_patch", 1, 32), ("mobilenet_v1_patch", 16, 32),
         ("mobilenet_v1_patch", 32, 32), ("resnet18_cifar", 1, 32), ("resnet18_cifar", 8, 32),
         ("resnet18_cifar", 128, 32), ("mobilenet_v1", 1, 224), ("mobilenet_v1", 8, 224),
         ("mobilenet_v2", 1, 224), ("mobilenet_v2", 8, 224), ("resnet50", 1, 224),
         ("resnet50", 8, 224)]


def write_idx(folder, prefix, count):
    with open(os.path.join(folder, prefix + "-images-idx3-ubyte"), "wb") as file:
        file.write(struct.pack(">IIII", 2051, count, 28, 28))
        file.write(bytes((7 * i + i // 28) % 256 for i in range(784)) * count)
    with open(os.path.join(folder, prefix + "-labels-idx1-ubyte"), "wb") as file:
        file.write(struct.pack(">II", 2049, count) + bytes(i % 10 for i in range(count)))


def measure(thimble, backend, model, batch, size):
    with tempfile.TemporaryDirectory() as folder:
        write_idx(folder, "train", 3 * batch)
        write_idx(folder, "t10k", batch)
        command = [thimble, "train", "--model", model, "--data", folder, "--batch", str(batch),
                   "--input", str(size), "--epochs", "1", "--lr", "0.001", "--backend", backend,
                   "--run", os.path.join(folder, "run"), "--json"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
        report = json.loads(done.stdout)
    return {"model": model, "batch": batch, "input": size, "backend": backend,
            "process_bytes": report["process_bytes"], "fixed_bytes": report["fixed_bytes"],
            "arena_bytes": report["arena_bytes"], "peak_rss_bytes": report["peak_rss_bytes"],
            "ratio": round(report["peak_rss_bytes"] / report["process_bytes"], 4)}


def main():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    thimble = sys.argv[1] if len(sys.argv) > 1 else os.path.join(root, "build/release/thimble")
    backend = sys.argv[2] if len(sys.argv) > 2 else "auto"
    for model, batch, size in PAIRS:
        print(json.dumps(measure(thimble, backend, model, batch, size)), flush=True)


if __name__ == "__main__":
    main()
