#!/usr/bin/env python3
"""Writes the untrained CNN that pare's bundled model grows from: 5 convolutions with batch normalization, 30,874 parameters.

Usage: make_fashion_cnn.py OUT.onnx [--seed N]

The same seed gives the same bytes. Needs the onnx wheel (scripts/setup.sh --tests).
"""
import argparse

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CHANNELS = (1, 16, 16, 32, 32, 48)
POOL_AFTER = (1, 3)  # 28x28 -> 14x14 -> 7x7: early, because most of the time is spent on the large maps
CLASSES = 10


def kaiming(rng, shape):
    """Normal with variance 2 / fan-in (He et al. 2015), for layers followed by Relu."""
    fan_in = int(np.prod(shape[1:]))
    return (rng.standard_normal(shape) * np.sqrt(2.0 / fan_in)).astype(np.float32)


class Builder:
    """An ONNX model in the making: one input `image` [N,1,28,28], nodes and seeded weights in the order in which they are added."""

    def __init__(self, seed):
        self.rng = np.random.Generator(np.random.PCG64(seed))
        self.nodes, self.weights = [], []

    def weight(self, name, array):
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array, dtype=np.float32), name))
        return name

    def add(self, op, name, inputs, output=None, **attributes):
        output = output or f"{name}.out"
        self.nodes.append(helper.make_node(op, inputs, [output], name=name, **attributes))
        return output

    def convolution(self, name, x, fan_in, fan_out, size=3, stride=1, pad=None, bias=False):
        inputs = [x, self.weight(f"{name}.weight", kaiming(self.rng, (fan_out, fan_in, size, size)))]
        if bias:
            inputs.append(self.weight(f"{name}.bias", np.zeros(fan_out)))
        return self.add("Conv", name, inputs, kernel_shape=[size] * 2, pads=[size // 2 if pad is None else pad] * 4, strides=[stride] * 2)

    def normalization(self, name, x, channels):
        parts = (("scale", np.ones), ("bias", np.zeros), ("mean", np.zeros), ("var", np.ones))
        inputs = [x, *(self.weight(f"{name}.{part}", make(channels)) for part, make in parts)]
        return self.add("BatchNormalization", name, inputs, epsilon=1e-5, momentum=0.9)

    def dense(self, name, x, fan_in, fan_out, output=None, last=False):
        """`last`: no Relu follows."""
        weight = kaiming(self.rng, (fan_out, fan_in))
        if last:
            weight = weight / np.float32(np.sqrt(2.0))
        inputs = [x, self.weight(f"{name}.weight", weight), self.weight(f"{name}.bias", np.zeros(fan_out))]
        return self.add("Gemm", name, inputs, output, transB=1)

    def model(self, name):
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 28, 28])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES])],
            initializer=self.weights,
        )
        model = helper.make_model(graph, producer_name="pare", opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        return model


def build(seed):
    net = Builder(seed)
    x = "image"
    for i, (fan_in, fan_out) in enumerate(zip(CHANNELS, CHANNELS[1:]), start=1):
        x = net.convolution(f"conv{i}", x, fan_in, fan_out)
        x = net.normalization(f"bn{i}", x, fan_out)
        x = net.add("Relu", f"relu{i}", [x])
        if i in POOL_AFTER:
            x = net.add("MaxPool", f"pool{i}", [x], kernel_shape=[2, 2], strides=[2, 2])
    x = net.add("GlobalAveragePool", "average", [x])
    x = net.add("Flatten", "flatten", [x], axis=1)
    net.dense("classifier", x, CHANNELS[-1], CLASSES, "logits", last=True)
    return net.model("fashion-cnn")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", metavar="OUT.onnx")
    parser.add_argument("--seed", type=int, default=1, help="of the initial weights (default: 1)")
    arguments = parser.parse_args()
    with open(arguments.out, "wb") as file:
        file.write(build(arguments.seed).SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
