#!/usr/bin/python3
"""What do row bands cost? Time as a ratio to thimble's own unconstrained step, frozen norm.

  bench/row_bands/run.py [--rounds N] [MODEL:BATCH:SIZE:CLASSES:BUDGET_MIB ...]  > results.jsonl

Both runs are alive at once and take turns, step by step, after ten steps from the same weights on
the same batches; `difference` is then the largest of any weight or momentum, relative to the
largest value of its kind: at batch 1 a ReLU6 that rounding flips moves a channel's gradient by much,
so that this says little (in double precision the tests hold 1e-10). fp32, SGD with momentum 0.9, 2
threads.
"""

import argparse
import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import contestants

CASES = ["mobilenet_v2:1:224:8:40", "mobilenet_v2:1:224:8:60"]
STEPS = 10
BATCHES = 3


def tensors(path):
    import struct
    with open(path, "rb") as file:
        data = file.read()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    for name, entry in header.items():
        if entry.get("dtype") == "F32":
            begin, end = (8 + length + o for o in entry["data_offsets"])
            yield name, struct.unpack(f"<{(end - begin) // 4}f", data[begin:end])


def difference(a, b):
    worst = 0
    for (name, x), (_, y) in zip(tensors(a), tensors(b)):
        largest = max(map(abs, x)) or 1
        worst = max(worst, max(abs(p - q) for p, q in zip(x, y)) / largest)
    return worst


def measure(case, rounds):
    model, batch, size, classes, budget = case.split(":")
    batch, size, classes, budget = int(batch), int(size), int(classes), float(budget)
    with tempfile.TemporaryDirectory() as folder:
        batches = os.path.join(folder, "batches.safetensors")
        contestants.make_batches(batches, BATCHES, (batch, 3, size, size), classes)
        running = [contestants.Thimble(model, batch, size, classes, "frozen", 1,
                                       os.path.join(folder, f"weights{i}.safetensors"), batches,
                                       1e-3, mib) for i, mib in enumerate((0, budget))]
        paths = [os.path.join(folder, f"after{i}.safetensors") for i in range(2)]
        for contestant, path in zip(running, paths):
            for k in range(STEPS):
                contestant.step(k % BATCHES)
            contestant.save(path)
        worst = difference(*paths)
        medians = contestants.take_turns(running, rounds, BATCHES)
    return {"case": case, "rounds": rounds, "difference": float(f"{worst:.2g}"),
            **contestants.beside_plain(*running, medians)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", default=CASES)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    for case in args.cases:
        print(json.dumps(measure(case, args.rounds)), flush=True)


if __name__ == "__main__":
    main()
