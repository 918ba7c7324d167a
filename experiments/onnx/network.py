"""What thimble-onnx and bench_network compute, for the scripts beside this one."""

import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "bench", "torch"))
import safetensors  # noqa: E402

BUILD = os.environ.get("THIMBLE_BUILD", os.path.join(ROOT, "build", "release"))
PROGRAM = os.path.join(BUILD, "thimble-onnx")
BENCH = os.path.join(BUILD, "bench", "bench_network")


class Failed(Exception):
    pass


def call(*command):
    environment = dict(os.environ, OMP_WAIT_POLICY="passive")
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        raise Failed(done.stderr.strip())
    return done.stdout


class Network:
    """An imported model, in a folder that goes with it."""

    def __init__(self, onnx_path):
        self.folder = tempfile.TemporaryDirectory()
        self.path = self.file("model.thimble")
        call(PROGRAM, "import", onnx_path, self.path)

    def file(self, name):
        return os.path.join(self.folder.name, name)

    def export(self):
        """Writes ONNX; returns its path, and whether importing that gives the same file again."""
        out, again = self.file("out.onnx"), self.file("again.thimble")
        call(PROGRAM, "export", self.path, out)
        call(PROGRAM, "import", out, again)
        with open(self.path, "rb") as a, open(again, "rb") as b:
            return out, a.read() == b.read()

    def outputs(self, images, weights=None, backend="auto"):
        safetensors.save(self.file("in"), {"images": images.astype("float32")})
        call(BENCH, "eval", self.path, weights or self.path, self.file("in"), self.file("out"),
             backend)
        return safetensors.load(self.file("out"))["outputs"]

    def train(self, images, labels, lr, norm="batch", trained="all", backend="auto"):
        """Losses; by name, all tensors after the first step; a file of the weights at the end."""
        batches = {}
        for k, (x, y) in enumerate(zip(images, labels)):
            batches[f"images.{k}"] = x.astype("float32")
            batches[f"labels.{k}"] = y.astype("int32")
        safetensors.save(self.file("batches"), batches)
        text = call(BENCH, "train", self.path, self.file("batches"), repr(float(lr)), norm, trained,
                    self.file("first"), self.file("after"), backend)
        losses = [float(line) for line in text.split()]
        return losses, safetensors.load(self.file("first")), self.file("after")
