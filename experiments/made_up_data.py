"""Small data sets for runs whose time or bytes count, not what they learn."""

import os


def write_idx(folder, prefix, count):
    """`count` grey pictures of 28x28 in ten classes, as Fashion-MNIST is stored."""
    with open(os.path.join(folder, prefix + "-images-idx3-ubyte"), "wb") as file:
        file.write(b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (count, 28, 28)))
        file.write(bytes((7 * i + i // 28) % 256 for i in range(784)) * count)
    with open(os.path.join(folder, prefix + "-labels-idx1-ubyte"), "wb") as file:
        file.write(b"\0\0\x08\x01" + count.to_bytes(4, "big") + bytes(i % 10 for i in range(count)))
