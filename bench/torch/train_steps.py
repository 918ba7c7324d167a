"""Trains one of thimble's models in PyTorch: the reference for losses, gradients and step times.

  train_steps.py --model lenet --weights w.safetensors --batches b.safetensors --steps 10 --lr 0.1
  train_steps.py --model resnet50 --batch 16 --warmup 1 --steps 5 --threads 2   (made-up data)
  train_steps.py --model resnet50 --batch 16 --serve   (a step for each line "step" on stdin)

Batches are tensors `images.<k>` (f32, NCHW) and `labels.<k>` (i32 or i64; -1: ignored), used in
turn. Without --weights, PyTorch's initial values; without --batches, random images.
"""

import argparse
import json
import resource
import sys
import time

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

import models
import safetensors


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--model", required=True, choices=models.MODELS)
    add("--channels", type=int, default=0, help="of the images; 0: the model's usual value")
    add("--height", type=int, default=0, help="of the images, pixels")
    add("--width-px", type=int, default=0, help="of the images, pixels")
    add("--classes", type=int, default=0)
    add("--width", type=float, default=1.0, help="multiplies the channels of every layer")
    add("--norm", default="batch", choices=["batch", "frozen", "group"])
    add("--option", action="append", default=[], metavar="NAME=VALUE", help="of the model")
    add("--weights", help="initial values, safetensors with thimble's names")
    add("--batches", help="safetensors with images.<k> and labels.<k>")
    add("--batch", type=int, default=32, help="examples in a step, when there are no --batches")
    add("--microbatch", type=int, default=0, help="examples at a time, gradients summed; 0: all")
    add("--segments", type=int, default=0, help="checkpointed, of the chain of blocks; 0: none")
    add("--label-smoothing", type=float, default=0.0)
    add("--lr", type=float, default=0.1)
    add("--momentum", type=float, default=0.9)
    add("--weight-decay", type=float, default=0.0)
    add("--nesterov", action="store_true")
    add("--dtype", default="float32", choices=["float32", "float64"])
    add("--channels-last", action="store_true")
    add("--threads", type=int, default=0, help="0: PyTorch's choice")
    add("--seed", type=int, default=1, help="of made-up weights and batches")
    add("--warmup", type=int, default=0, help="steps before those that are reported")
    add("--steps", type=int, default=1)
    add("--serve", action="store_true", help="a JSON line for each line 'step' on stdin")
    add("--output", help="JSON file; standard output when absent")
    add("--gradients", help="write the first step's gradients here, safetensors")
    add("--final-weights", help="write weights and statistics after the last step, safetensors")
    return parser.parse_args()


def load_weights(model, path):
    """Entries that are not the model's (optimizer state) are passed over; missing ones are not."""
    loaded = models.load_thimble(path)
    expected = model.state_dict()
    missing = [name for name in expected if name not in loaded]
    if missing:
        sys.exit(f"{path}: has no tensor {missing[0]!r} ({len(missing)} missing)")
    model.load_state_dict({name: loaded[name] for name in expected})


def make_model(args):
    variants = dict(option.split("=", 1) for option in args.option)
    model = models.build_model(args.model, args.channels, args.height, args.width_px, args.classes,
                               args.width, args.norm, **variants)
    model = model.to(getattr(torch, args.dtype))
    if args.weights:
        load_weights(model, args.weights)
    if args.channels_last:
        model = model.to(memory_format=torch.channels_last)
    return model.train()


def made_up_batches(args):
    _, channels, size, classes = models.MODELS[args.model]
    height = args.height or args.width_px or size
    width = args.width_px or args.height or size
    images = torch.randn(args.batch, args.channels or channels, height, width)
    return [(images, torch.randint(args.classes or classes, (args.batch,)))]


def read_batches(path):
    tensors = models.load_thimble(path)
    count = sum(name.startswith("images.") for name in tensors)
    return [(tensors[f"images.{k}"], tensors[f"labels.{k}"].long()) for k in range(count)]


def prepare(batches, args):
    layout = torch.channels_last if args.channels_last else torch.contiguous_format
    dtype = getattr(torch, args.dtype)
    return [(images.to(dtype=dtype, memory_format=layout), labels) for images, labels in batches]


class Trainer:
    def __init__(self, args):
        torch.manual_seed(args.seed)
        if args.threads:
            torch.set_num_threads(args.threads)
        self.args = args
        self.model = make_model(args)
        batches = read_batches(args.batches) if args.batches else made_up_batches(args)
        self.batches = prepare(batches, args)
        self.optimizer = torch.optim.SGD(self.model.parameters(), args.lr, args.momentum,
                                         weight_decay=args.weight_decay, nesterov=args.nesterov)
        self.done = 0  # steps

    def step(self):
        """One step on the next batch: its seconds and its loss."""
        images, labels = self.batches[self.done % len(self.batches)]
        begin = time.perf_counter()
        self.optimizer.zero_grad(set_to_none=True)
        size = self.args.microbatch or len(labels)
        value = 0.0
        for part, targets in zip(images.split(size), labels.split(size)):
            loss = F.cross_entropy(self.logits(part), targets, ignore_index=-1,
                                   label_smoothing=self.args.label_smoothing)
            loss = loss * (len(targets) / len(labels))
            loss.backward()
            value += loss.item()
        self.optimizer.step()
        seconds = time.perf_counter() - begin
        if self.done == 0 and self.args.gradients:
            self.save_gradients()
        self.done += 1
        return seconds, value

    def logits(self, images):
        """Of segments, the inputs are kept; the last one keeps everything."""
        if not self.args.segments:
            return self.model(images)
        chain = self.model.chain()
        size = -(-len(chain) // self.args.segments)
        parts = [torch.nn.Sequential(*map(models.Function, chain[i:i + size]))
                 for i in range(0, len(chain), size)]
        for part in parts[:-1]:
            images = checkpoint(part, images, use_reentrant=False, preserve_rng_state=False)
        return parts[-1](images)

    def save_gradients(self):
        gradients = {name: p.grad.contiguous().numpy()
                     for name, p in self.model.named_parameters()}
        safetensors.save(self.args.gradients, gradients)

    def save_weights(self, path):
        safetensors.save(path, {name: t.detach().contiguous().numpy()
                                for name, t in self.model.state_dict().items()})


def serve(trainer):
    """Answers each line, so that a driver can take turns between this and another program."""
    print(json.dumps({"ready": True, "threads": torch.get_num_threads()}), flush=True)
    for line in sys.stdin:
        if line.strip() != "step":
            break
        seconds, loss = trainer.step()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({"seconds": seconds, "loss": loss, "peak_bytes": peak}), flush=True)


def run(trainer, args):
    for _ in range(args.warmup):
        trainer.step()
    results = [trainer.step() for _ in range(args.steps)]
    report = json.dumps({"losses": [loss for _, loss in results],
                         "step_seconds": [seconds for seconds, _ in results]})
    if args.output:
        with open(args.output, "w") as file:
            file.write(report + "\n")
    else:
        print(report)


def main():
    args = parse_arguments()
    trainer = Trainer(args)
    if args.serve:
        serve(trainer)
    else:
        run(trainer, args)
    if args.final_weights:
        trainer.save_weights(args.final_weights)


if __name__ == "__main__":
    main()
