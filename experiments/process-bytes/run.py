#!/usr/bin/python3
"""Does the process stay where the plan says? Trains each (model, batch) for a few steps.

  experiments/process-bytes/run.py [THIMBLE [BACKEND]]  > experiments/process-bytes/results.jsonl

portable.jsonl: the static program, three times over (THIMBLE build/portable/thimble, BACKEND
portable).

Every run is the whole program: data loader, training, evaluation, checkpoint files. Data: small
made-up IDX files, or PNG pictures of 400x300. Columns: planned process bytes, measured peak (VmHWM),
and their ratio, which must lie in (0.97, 1]. Repeated runs differ by 100 to 200 KiB, so that the
smallest processes (lenet, less than 10 MiB) have been seen down to 0.95.
"""

import json
import os
import struct
import subprocess
import sys
import tempfile
import zlib

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from made_up_data import write_idx

# Model, batch, image side; threads and kind of data where they are not 2 and IDX.
PAIRS = [("lenet", 1, 28), ("lenet", 64, 28), ("lenet", 512, 28),
         ("mobilenet_v1_patch", 1, 32), ("mobilenet_v1_patch", 16, 32),
         ("mobilenet_v1_patch", 32, 32), ("resnet18_cifar", 1, 32), ("resnet18_cifar", 8, 32),
         ("resnet18_cifar", 128, 32), ("mobilenet_v1", 1, 224), ("mobilenet_v1", 8, 224),
         ("mobilenet_v2", 1, 224), ("mobilenet_v2", 8, 224), ("resnet50", 1, 224),
         ("resnet50", 8, 224), ("mobilenet_v1_patch", 16, 32, 1), ("mobilenet_v1_patch", 16, 32, 8),
         ("mobilenet_v1_patch", 4, 32, 1, "png"), ("mobilenet_v1_patch", 4, 32, 8, "png")]
SMALL_PAIRS = [("lenet", 1, 28), ("lenet", 64, 28), ("lenet", 256, 28),
               ("mobilenet_v1_patch", 1, 32), ("mobilenet_v1_patch", 4, 32),
               ("resnet18_cifar", 1, 32), ("mobilenet_v1", 1, 64), ("mobilenet_v2", 1, 64),
               ("resnet50", 1, 64), ("mobilenet_v1_patch", 1, 32, 1),
               ("mobilenet_v1_patch", 1, 32, 8), ("mobilenet_v1_patch", 1, 32, 1, "png")]


def write_png(path, height, width):
    def chunk(kind, body):
        return (struct.pack(">I", len(body)) + kind + body +
                struct.pack(">I", zlib.crc32(kind + body)))
    rows = b"".join(b"\0" + bytes((x * y) % 251 for x in range(3 * width)) for y in range(height))
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" +
                   chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
                   chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def write_pictures(folder, split, count):
    for i in range(count):
        place = os.path.join(folder, split, "even" if i % 2 == 0 else "odd")
        os.makedirs(place, exist_ok=True)
        write_png(os.path.join(place, f"{i}.png"), 300, 400)


def measure(thimble, backend, model, batch, size, threads=2, data="idx"):
    with tempfile.TemporaryDirectory() as folder:
        if data == "idx":
            write_idx(folder, "train", 3 * batch)
            write_idx(folder, "t10k", batch)
        else:
            write_pictures(folder, "train", 3 * batch)
            write_pictures(folder, "test", 2 * batch)
        command = [thimble, "train", "--model", model, "--data", folder, "--batch", str(batch),
                   "--input", str(size), "--epochs", "1", "--lr", "0.001", "--backend", backend,
                   "--threads", str(threads),
                   "--run", os.path.join(folder, "run"), "--json"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
        report = json.loads(done.stdout)
    return {"model": model, "batch": batch, "input": size, "backend": backend,
            "threads": threads, "data": data,
            "process_bytes": report["process_bytes"], "fixed_bytes": report["fixed_bytes"],
            "arena_bytes": report["arena_bytes"], "peak_rss_bytes": report["peak_rss_bytes"],
            "ratio": round(report["peak_rss_bytes"] / report["process_bytes"], 4)}


def main():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    thimble = sys.argv[1] if len(sys.argv) > 1 else os.path.join(root, "build/release/thimble")
    backend = sys.argv[2] if len(sys.argv) > 2 else "auto"
    for pair in SMALL_PAIRS if backend == "portable" else PAIRS:
        print(json.dumps(measure(thimble, backend, *pair)), flush=True)


if __name__ == "__main__":
    main()
