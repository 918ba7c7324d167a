#!/usr/bin/python3
"""What does a budget cost? Time as a ratio to thimble's own unconstrained step.

  bench/budget/run.py [--rounds N] [MODEL:BATCH:SIZE:CLASSES:BUDGET_MIB ...]  > results.jsonl

Both runs are alive at once and take turns, step by step. First they take ten steps from the same
weights on the same batches: weights and optimizer state must then be the same bits, or no time
counts. fp32, batch norm, SGD with momentum 0.9, 2 threads. The measured peak is of the benchmark's
process, which holds no data loader.
"""

import argparse
import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import contestants

CASES = ["resnet50:8:224:8:600", "resnet50:8:224:8:400", "resnet50:8:224:8:340",
         "mobilenet_v1:8:224:8:230", "mobilenet_v1:8:224:8:150", "mobilenet_v1:8:224:8:125"]
CHECKED_STEPS = 10
LEARNING_RATE = 1e-3
BATCHES = 3


def measure(case, rounds):
    model, batch, size, classes, budget = case.split(":")
    batch, size, classes, budget = int(batch), int(size), int(classes), float(budget)
    with tempfile.TemporaryDirectory() as folder:
        batches = os.path.join(folder, "batches.safetensors")
        contestants.make_batches(batches, BATCHES, (batch, 3, size, size), classes)
        running = [contestants.Thimble(model, batch, size, classes, "batch", 1,
                                       os.path.join(folder, f"weights{i}.safetensors"), batches,
                                       LEARNING_RATE, budget_mib)
                   for i, budget_mib in enumerate((0, budget))]
        for k in range(CHECKED_STEPS):
            for contestant in running:
                contestant.step(k % BATCHES)
        states = []
        for i, contestant in enumerate(running):
            path = os.path.join(folder, f"after{i}.safetensors")
            contestant.save(path)
            with open(path, "rb") as file:
                states.append(file.read())
        if states[0] != states[1]:
            raise SystemExit(f"{case}: the weights differ after {CHECKED_STEPS} steps")
        medians = contestants.take_turns(running, rounds, BATCHES)
    return {"case": case, "rounds": rounds, "same_bits_after_steps": CHECKED_STEPS,
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
