#!/usr/bin/python3
"""Is a bounded step in microbatches slower than PyTorch's best way to split a batch?

  bench/microbatch/run.py [--rounds N] [MODEL:BATCH:SIZE:CLASSES:NORM:BUDGET_MIB:AGAINST ...]

AGAINST is `16x`: PyTorch in microbatches of 16, gradients summed, its usual layout and channels
last, both with the allocator settings of contestants.TUNED; or `plain`: thimble's own step without
a budget. All take turns, step by step, on the same batches from the same weights. First their
losses must agree at every one of CHECKED_STEPS steps, or no time counts. fp32, SGD with momentum
0.9, 2 threads. `ratio` is the median over rounds of thimble's time over the best other's of the
same round, the best by its own median. Peaks are VmHWM of each process; the benchmark's holds no
data loader.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import contestants

CASES = ["resnet50:96:224:8:group:250:16x", "resnet50:96:224:8:frozen:250:16x",
         "mobilenet_v1_patch:32:32:8:group:40:plain", "mobilenet_v1_patch:32:32:8:frozen:40:plain"]
CHECKED_STEPS = 2
TOLERANCE = 1e-4  # relative, of the losses
LEARNING_RATE = 1e-3
BATCHES = 2


def start(folder, model, batch, size, classes, norm, budget, against):
    whole = os.path.join(folder, "batches.safetensors")
    examples = os.path.join(folder, "examples.safetensors")
    shape = (batch, 3, size, size)
    contestants.make_batches(examples, BATCHES, shape, classes, by_example=True)
    weights = os.path.join(folder, "weights.safetensors")
    thimble = lambda file, budget_mib: contestants.Thimble(
        model, batch, size, classes, norm, 1, os.path.join(folder, file), examples, LEARNING_RATE,
        budget_mib)
    running = {"thimble": thimble("weights.safetensors", budget)}
    if against == "plain":
        running["plain"] = thimble("plain.safetensors", 0)
        return running
    contestants.make_batches(whole, BATCHES, shape, classes)
    for name, last in (("torch", False), ("torch_channels_last", True)):
        running[name] = contestants.Torch(model, size, classes, norm, weights, whole, LEARNING_RATE,
                                          channels_last=last,
                                          extra=("--microbatch", int(against.rstrip("x"))))
    return running


def check(case, running):
    """The same losses from the same weights, or no times."""
    worst = 0.0
    for k in range(CHECKED_STEPS):
        losses = {name: c.step(k % BATCHES)[1] for name, c in running.items()}
        spread = (max(losses.values()) - min(losses.values())) / abs(losses["thimble"])
        if spread > TOLERANCE:
            raise SystemExit(f"{case}: losses differ at step {k}: {losses}")
        worst = max(worst, spread)
    return worst


def measure(case, rounds):
    model, batch, size, classes, norm, budget, against = case.split(":")
    batch, size, classes, budget = int(batch), int(size), int(classes), float(budget)
    with tempfile.TemporaryDirectory() as folder:
        running = start(folder, model, batch, size, classes, norm, budget, against)
        worst = check(case, running)
        seconds = {name: [] for name in running}
        for k in range(rounds):
            for name, contestant in running.items():
                seconds[name].append(contestant.step((CHECKED_STEPS + k) % BATCHES)[0])
        for contestant in running.values():
            contestant.close()
    medians = {name: statistics.median(s) for name, s in seconds.items()}
    best = min((name for name in medians if name != "thimble"), key=medians.get)
    ratios = [a / b for a, b in zip(seconds["thimble"], seconds[best])]
    mib = lambda b: round(b / 2**20, 1)
    return {"case": case, "rounds": rounds, "microbatches": running["thimble"].microbatches,
            "losses_within": float(f"{worst:.1e}"),
            "ms_per_image": {n: round(1e3 * m / batch, 2) for n, m in medians.items()},
            "against": best, "ratio": round(statistics.median(ratios), 3),
            "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
            "planned_mib": mib(running["thimble"].process_bytes),
            "peak_mib": {n: mib(c.peak_bytes) for n, c in running.items()}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", default=CASES)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    for case in args.cases:
        print(json.dumps(measure(case, args.rounds)), flush=True)


if __name__ == "__main__":
    main()
