#!/usr/bin/env python3
"""Writes an untrained residual network for Fashion-MNIST, the teacher: 465 K parameters, 55 M MACs, 1.9 MB.

Usage: make_fashion_resnet.py OUT.onnx [--seed N] [--widths A,B,C] [--blocks A,B,C]

Stages of residual blocks (He et al. 2016, batch normalization after each convolution) at 28x28, 14x14 and 7x7. The same seed gives
the same bytes. Needs the onnx wheel (scripts/setup.sh --tests).
"""
import argparse

from make_fashion_cnn import CLASSES, Builder

WIDTHS = (32, 64, 96)
BLOCKS = (1, 2, 2)


def build(seed, widths=WIDTHS, blocks=BLOCKS):
    net = Builder(seed)

    def unit(name, x, fan_in, fan_out, stride=1, size=3, relu=True):
        x = net.convolution(f"{name}.conv", x, fan_in, fan_out, size, stride)
        x = net.normalization(f"{name}.bn", x, fan_out)
        return net.add("Relu", f"{name}.relu", [x]) if relu else x

    x, fan_in = unit("stem", "image", 1, widths[0]), widths[0]
    for stage, (width, count) in enumerate(zip(widths, blocks), start=1):
        for block in range(1, count + 1):
            name = f"stage{stage}.block{block}"
            stride = 2 if stage > 1 and block == 1 else 1
            y = unit(f"{name}.a", x, fan_in, width, stride)
            y = unit(f"{name}.b", y, width, width, relu=False)
            if stride != 1 or fan_in != width:
                x = unit(f"{name}.shortcut", x, fan_in, width, stride, 1, relu=False)
            x = net.add("Relu", f"{name}.relu", [net.add("Add", f"{name}.sum", [y, x])])
            fan_in = width
    x = net.add("Flatten", "flatten", [net.add("GlobalAveragePool", "average", [x])], axis=1)
    net.dense("classifier", x, fan_in, CLASSES, "logits", last=True)
    return net.model("fashion-resnet")


def numbers(text):
    return tuple(int(part) for part in text.split(","))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", metavar="OUT.onnx")
    parser.add_argument("--seed", type=int, default=1, help="of the initial weights (default: 1)")
    parser.add_argument("--widths", type=numbers, default=WIDTHS, help="channels of the stages (default: 32,64,96)")
    parser.add_argument("--blocks", type=numbers, default=BLOCKS, help="residual blocks of the stages (default: 1,2,2)")
    arguments = parser.parse_args()
    with open(arguments.out, "wb") as file:
        file.write(build(arguments.seed, arguments.widths, arguments.blocks).SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
