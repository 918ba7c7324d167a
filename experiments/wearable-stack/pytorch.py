#!/usr/bin/python3
"""What PyTorch takes for the configurations of the wearable stack that it can run.

  experiments/wearable-stack/pytorch.py [--only C1,C4] > pytorch.jsonl

Each in a process of its own (bench/torch/train_steps.py): made-up pictures, 8 classes, batch 96,
fp32, SGD with momentum 0.9, one step to warm up and one that counts, all cores, the allocator as it
comes. PyTorch has no sparse training that saves bytes: weights are dense. Checkpoints:
torch.utils.checkpoint over segments of the chain of blocks. Patches: 96 pictures of 49, each with
its picture's label, 49 at a time. Peak: ru_maxrss of the process.
"""

import argparse
import json
import os
import subprocess
import sys

TRAIN = os.path.join(os.path.dirname(__file__), "..", "..", "bench", "torch", "train_steps.py")
SIZE = ["--height", "224", "--width-px", "224", "--batch", "96"]
CASES = {
    "C1": ["--model", "resnet50", *SIZE],
    "C3": ["--model", "resnet50", *SIZE, "--segments", "4"],
    "C4": ["--model", "resnet50", *SIZE, "--norm", "group", "--segments", "4", "--microbatch", "1"],
    "C5": ["--model", "mobilenet_v1", *SIZE, "--norm", "group", "--segments", "5",
           "--microbatch", "1"],
    "C6": ["--model", "mobilenet_v1_patch", "--height", "32", "--width-px", "32",
           "--batch", str(96 * 49), "--norm", "group", "--segments", "5", "--microbatch", "49"],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(CASES))
    for name in parser.parse_args().only.split(","):
        command = [sys.executable, TRAIN, *CASES[name], "--classes", "8", "--lr", "0.001",
                   "--warmup", "1", "--steps", "1"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        result = json.loads(process.stdout.read())
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0, name
        print(json.dumps({"name": name, "settings": " ".join(CASES[name]),
                          "peak_bytes": usage.ru_maxrss * 1024,
                          "seconds_per_image": result["step_seconds"][0] / 96}), flush=True)


main()
