#!/usr/bin/python3
"""What does thimble-onnx do with broken models?

  experiments/onnx/mutate.py COUNT MODEL.onnx... [--seed S]

COUNT mutations of each model: bytes changed, inserted, removed, pieces swapped or doubled, the file
cut, and fields of the parsed model replaced (names, sizes, types, attributes; nodes and edges moved
about). Each file must end in exit code 0 or 2 with one error message. A signal, another exit code, a
file that takes longer than SECONDS, or a process above MEBIBYTES is a failure, and its file is kept.
Files are handed to `thimble-onnx check` in batches; a batch that fails runs again file by file.
A line of JSON for each model.
"""

import argparse
import collections
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

import onnx

import network

SECONDS, MEBIBYTES, AT_ONCE = 20, 512, 200
ABSURD = [0, -1, 1, 2, 7, 2**31 - 1, -2**31, 2**40, 2**62, 2**63 - 1, -2**63]


def changed_bytes(rng, data, model):
    out = bytearray(data)
    # Mostly among the structure: weights may hold anything.
    reach = len(out) if rng.random() < 0.3 else min(len(out), 4000)
    from_end = rng.random() < 0.5
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        at = rng.randrange(reach)
        at = len(out) - 1 - at if from_end else at
        out[at] = rng.choice([rng.randrange(256), out[at] ^ 1 << rng.randrange(8), 0, 255, 127, 128])
    return bytes(out)


def cut(rng, data, model):
    return data[:rng.randrange(len(data))]


def moved(rng, data, model):
    a, b = sorted(rng.randrange(len(data)) for _ in range(2))
    b = min(b, a + rng.choice([1, 4, 100, 10**6]))
    way = rng.randrange(4)
    if way == 0:
        return data[:a] + data[b:]
    if way == 1:
        return data[:b] + data[a:b] + data[b:]
    if way == 2:
        return data[:a] + rng.randbytes(rng.randrange(1, 64)) + data[a:]
    c = rng.randrange(len(data))
    return data[:a] + data[c:c + b - a] + data[b:]


def some(rng, items):
    return items[rng.randrange(len(items))] if len(items) else None


def change_node(rng, graph):
    node, other = some(rng, graph.node), some(rng, graph.node)
    names = [n for m in graph.node for n in list(m.input) + list(m.output)]
    names += [t.name for t in graph.initializer]
    way = rng.randrange(7)
    if way == 0:
        node.op_type = rng.choice([other.op_type, "Mystery", "", "Loop", "Transpose", "Expand",
                                   "Reshape", "Shape", "Concat", "Split", "Pad", "Gather"])
    elif way == 1 and len(node.input):
        node.input[rng.randrange(len(node.input))] = rng.choice(names + [""])
    elif way == 2 and len(node.output):
        node.output[rng.randrange(len(node.output))] = rng.choice(names + [""])
    elif way == 3:
        node.CopyFrom(other)
    elif way == 4:
        node.input.append(rng.choice(names))
    elif way == 5:
        graph.node.remove(node)
    else:
        del node.input[:]


def change_attribute(rng, graph):
    nodes = [n for n in graph.node if len(n.attribute)]
    if not nodes:
        return
    attribute = some(rng, some(rng, nodes).attribute)
    way = rng.randrange(6)
    if way == 0:
        attribute.i = rng.choice(ABSURD)
    elif way == 1 and len(attribute.ints):
        attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(ABSURD)
    elif way == 2:
        attribute.f = rng.choice([0.0, -1.0, float("nan"), float("inf"), 1e38])
    elif way == 3:
        attribute.type = rng.randrange(15)
    elif way == 4:
        del attribute.ints[:]
    else:
        attribute.name = rng.choice(["axis", "perm", "pads", "group", "kernel_shape", "value"])
    if attribute.HasField("t"):
        change_tensor(rng, attribute.t)


def change_tensor(rng, tensor):
    way = rng.randrange(6)
    if way == 0 and len(tensor.dims):
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(ABSURD)
    elif way == 1:
        tensor.dims.append(rng.choice(ABSURD))
    elif way == 2:
        del tensor.dims[:]
    elif way == 3:
        tensor.data_type = rng.randrange(-1, 20)
    elif way == 4:
        tensor.raw_data = tensor.raw_data[:rng.randrange(len(tensor.raw_data) + 1)]
    else:
        tensor.data_location = onnx.TensorProto.EXTERNAL


def change_ends(rng, model):
    graph = model.graph
    way = rng.randrange(5)
    value = some(rng, list(graph.input) + list(graph.output))
    dims = value.type.tensor_type.shape.dim
    if way == 0 and len(dims):
        some(rng, dims).dim_value = rng.choice(ABSURD)
    elif way == 1:
        dims.add().dim_value = rng.choice(ABSURD)
    elif way == 2:
        value.name = rng.choice([n for m in graph.node for n in m.output])
    elif way == 3:
        model.opset_import[0].version = rng.choice(ABSURD + list(range(5, 20)))
    else:
        del dims[:]


def changed_fields(rng, data, model):
    made = onnx.ModelProto()
    made.CopyFrom(model)
    for _ in range(rng.choice([1, 1, 2, 4])):
        way = rng.randrange(10)
        if not len(made.graph.node):
            break
        if way < 4:
            change_node(rng, made.graph)
        elif way < 7:
            change_attribute(rng, made.graph)
        elif way < 9 and len(made.graph.initializer):
            change_tensor(rng, some(rng, made.graph.initializer))
        else:
            change_ends(rng, made)
    return made.SerializeToString()


WAYS = [changed_bytes, cut, moved, changed_fields, changed_fields]


def check(paths):
    """Exit code, peak MiB, output."""
    begin = time.monotonic()
    with tempfile.TemporaryFile("w+", errors="replace") as out, \
            tempfile.TemporaryFile("w+", errors="replace") as err:
        process = subprocess.Popen([network.PROGRAM, "check", *paths], stdout=out, stderr=err)
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() - begin > SECONDS + len(paths):
                process.kill()
                os.wait4(process.pid, 0)
                return "timeout", 0, ""
            time.sleep(0.002)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        return process.returncode, usage.ru_maxrss / 1024, out.read() + err.read()


def is_good(code, mebibytes):
    return code in (0, 2) and mebibytes <= MEBIBYTES


def mutate(path, count, seed, kept):
    with open(path, "rb") as file:
        data = file.read()
    model = onnx.load(path)
    name = os.path.splitext(os.path.basename(path))[0]
    rng = random.Random(f"{seed} {name}")
    codes, largest, failures = collections.Counter(), 0.0, []
    with tempfile.TemporaryDirectory() as folder:
        for begin in range(0, count, AT_ONCE):
            paths = []
            for i in range(begin, min(begin + AT_ONCE, count)):
                paths.append(os.path.join(folder, f"{i}.onnx"))
                with open(paths[-1], "wb") as file:
                    file.write(rng.choice(WAYS)(rng, data, model))
            code, mebibytes, text = check(paths)
            largest = max(largest, mebibytes)
            if is_good(code, mebibytes):
                codes["imported"] += text.count(": good\n")
                codes["refused"] += text.count(": exit code 2\n")
            else:
                for one in paths:
                    code, mebibytes, text = check([one])
                    if is_good(code, mebibytes):
                        codes["imported" if code == 0 else "refused"] += 1
                        continue
                    failures.append([os.path.basename(one), code, mebibytes, text[-300:]])
                    shutil.copy(one, os.path.join(kept, f"{name}-{os.path.basename(one)}"))
            for one in paths:
                os.remove(one)
    return {"model": name, "files": count, **codes, "peak_mebibytes": round(largest, 1),
            "failures": failures}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--keep", default=tempfile.gettempdir(), help="where failing files go")
    options = parser.parse_args()
    good = True
    for path in options.models:
        report = mutate(path, options.count, options.seed, options.keep)
        print(json.dumps(report), flush=True)
        good = good and not report["failures"]
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
