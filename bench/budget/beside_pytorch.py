#!/usr/bin/python3
"""README's first table: what a number of bytes costs, in thimble and in PyTorch.

  bench/budget/beside_pytorch.py [--rounds N] [--json results.jsonl] > table.md

ResNet-50 and MobileNet v1 at 224, batch 8, 8 classes, fp32, batch norm, SGD with momentum 0.9, 2
threads. All contestants of a model are alive at once and take turns, a step each a round; first all
must have the same first loss from the same weights on the same batch. Peaks are of the whole
process (ru_maxrss), without a data loader. PyTorch: its two layouts with the allocator tuned, the
better layout with glibc's defaults, and with checkpoints (whose batch norm updates its running
statistics twice).
"""

import argparse
import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import contestants

CASES = {"resnet50": ([0, 600, 400, 340], [2, 4, 8]), "mobilenet_v1": ([0, 230, 150, 125], [2, 5])}
BATCH, SIZE, CLASSES, BATCHES, LEARNING_RATE = 8, 224, 8, 3, 1e-3
SAME_LOSS = 1e-4


def start(model, folder):
    """(what it is, promise, contestant) of every way."""
    budgets, segments = CASES[model]
    batches = os.path.join(folder, "batches.safetensors")
    weights = os.path.join(folder, "weights.safetensors")
    contestants.make_batches(batches, BATCHES, (BATCH, 3, SIZE, SIZE), CLASSES)
    ways = []
    for budget in budgets:
        name = f"thimble, {budget} MiB" if budget else "thimble, no budget"
        ways.append((name, "bit_exact", contestants.Thimble(
            model, BATCH, SIZE, CLASSES, "batch", 1, weights, batches, LEARNING_RATE, budget)))

    def torch(name, promise, **more):
        ways.append((f"PyTorch, {name}", promise, contestants.Torch(
            model, SIZE, CLASSES, "batch", weights, batches, LEARNING_RATE, **more)))

    torch("allocator tuned", "")
    torch("channels-last, allocator tuned", "", channels_last=True)
    torch("channels-last, glibc's defaults", "", channels_last=True, tuned=False)
    for count in segments:
        torch(f"channels-last, {count} checkpointed segments", "other running statistics",
              channels_last=True, tuned=False, extra=("--segments", count))
    return ways


def measure(model, rounds):
    with tempfile.TemporaryDirectory() as folder:
        ways = start(model, folder)
        running = [contestant for _, _, contestant in ways]
        losses = [contestant.step(0)[1] for contestant in running]
        if max(losses) - min(losses) > SAME_LOSS * abs(losses[0]):
            raise SystemExit(f"{model}: the first losses differ: {losses}")
        medians = contestants.take_turns(running, rounds, BATCHES)
    plain = min(ms for (name, _, _), ms in zip(ways, medians)
                if name.startswith("PyTorch") and "segments" not in name)
    return [{"model": model, "way": name, "promise": promise, "rounds": rounds,
             "peak_mib": round(contestant.peak_bytes / 2**20, 1), "median_ms": round(1e3 * s, 1),
             "beside_pytorch": round(s / plain, 2)}
            for (name, promise, contestant), s in zip(ways, medians)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=list(CASES))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", help="also write a line for each row here")
    args = parser.parse_args()
    rows = []
    for model in args.models:
        rows += sorted(measure(model, args.rounds), key=lambda r: -r["peak_mib"])
    print("| model | way | peak MiB | step ms | beside PyTorch's fastest | promise |")
    print("| --- | --- | --- | --- | --- | --- |")
    for r in rows:
        print(f"| {r['model']} | {r['way']} | {r['peak_mib']:.0f} | {r['median_ms']:.0f} | "
              f"{r['beside_pytorch']:.2f} | {r['promise']} |")
    if args.json:
        with open(args.json, "w") as file:
            file.writelines(json.dumps(r) + "\n" for r in rows)


if __name__ == "__main__":
    main()
