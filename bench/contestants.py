"""Both programs as processes that answer one line at a time, so that they can take turns."""

import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
STEP = os.path.join(ROOT, "build", "release", "bench", "bench_step")
TORCH = os.path.join(HERE, "torch", "train_steps.py")
sys.path.insert(0, os.path.join(HERE, "torch"))

# What a careful PyTorch user sets: glibc keeps what it has, in large pages.
TUNED = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "-1", "MALLOC_TOP_PAD_": "67108864",
         "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}


class Thimble:
    """Writes its initial weights to `weights` and trains on `batches`."""

    def __init__(self, model, batch, size, classes, norm, seed, weights, batches, lr,
                 budget_mib=0, allow=None):
        arguments = [model, batch, size, classes, norm, seed, weights, batches or "-", lr,
                     budget_mib] + ([allow] if allow else [])
        self.process = subprocess.Popen([STEP] + [str(a) for a in arguments], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        words = self.process.stdout.readline().split()
        assert words and words[0] == "ready", "bench_step did not start"
        self.process_bytes, self.fixed_bytes, self.arena_bytes, self.lower_bound_bytes, \
            self.microbatches = (int(w) for w in words[1:])
        self.peak_bytes = 0

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().split()

    def step(self, k):
        seconds, loss, peak = self.ask(f"step {k}")
        self.peak_bytes = int(peak)
        return float(seconds), float(loss)

    def profile(self, k):
        count = int(self.ask(f"profile {k}")[1])
        rows = [self.process.stdout.readline().rstrip("\n").split(" ", 2) for _ in range(count)]
        return sorted(((float(s), int(n), name) for s, n, name in rows), reverse=True)

    def save(self, path):
        assert self.ask(f"save {path}") == ["saved"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Torch:
    """The PyTorch twin, from the same weights and batches."""

    def __init__(self, model, size, classes, norm, weights, batches, lr, channels_last=False,
                 tuned=True, extra=()):
        arguments = ["--model", model, "--height", size, "--classes", classes, "--norm", norm,
                     "--weights", weights, "--batches", batches, "--lr", lr, "--threads", 2,
                     "--serve", *extra]
        if channels_last:
            arguments.append("--channels-last")
        environment = dict(os.environ, **(TUNED if tuned else {}))
        self.process = subprocess.Popen(
            ["/usr/bin/python3", TORCH] + [str(a) for a in arguments], text=True, env=environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert json.loads(self.process.stdout.readline())["ready"]

    def step(self, _):
        self.process.stdin.write("step\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        self.peak_bytes = answer["peak_bytes"]
        return answer["seconds"], answer["loss"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def take_turns(running, rounds, batches):
    """Median seconds of each, over so many rounds of a step each; then they are closed."""
    seconds = [[] for _ in running]
    for k in range(rounds):
        for i, contestant in enumerate(running):
            seconds[i].append(contestant.step(k % batches)[0])
    for contestant in running:
        contestant.close()
    return [statistics.median(s) for s in seconds]


def beside_plain(plain, budget, medians):
    """The columns of a bounded thimble beside an unbounded one."""
    mib = lambda b: round(b / 2**20, 1)
    return {"median_ms": {"plain": round(1e3 * medians[0], 1),
                          "budget": round(1e3 * medians[1], 1)},
            "ratio": round(medians[1] / medians[0], 3),
            "planned_mib": {"plain": mib(plain.process_bytes), "budget": mib(budget.process_bytes)},
            "peak_mib": {"plain": mib(plain.peak_bytes), "budget": mib(budget.peak_bytes)}}


def make_batches(path, count, shape, classes, seed=0, by_example=False):
    """Random images and labels, `count` batches of (N, C, H, W), whole or example by example."""
    import numpy
    import safetensors
    random = numpy.random.default_rng(seed)
    tensors = {}
    for k in range(count):
        images = random.standard_normal(shape).astype("float32")
        labels = random.integers(0, classes, shape[0]).astype("int32")
        if not by_example:
            tensors[f"images.{k}"], tensors[f"labels.{k}"] = images, labels
            continue
        for i in range(shape[0]):
            tensors[f"images.{k}.{i}"] = images[i:i + 1]
            tensors[f"labels.{k}.{i}"] = labels[i:i + 1]
    safetensors.save(path, tensors)
