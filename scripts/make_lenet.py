#!/usr/bin/env python3
"""Writes an untrained LeNet for 28x28 images in 10 classes: 300-100 (266,610 parameters) or 5 (431,080, the Caffe variant).

Usage: make_lenet.py 300-100|5 OUT.onnx [--seed N]

The same seed gives the same bytes. Needs the onnx wheel (scripts/setup.sh --tests).
"""
import argparse

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CLASSES = 10


class Builder:
    def __init__(self, seed):
        self.rng = np.random.Generator(np.random.PCG64(seed))
        self.nodes, self.weights = [], []

    def kaiming(self, name, shape):
        """Normal with variance 2 / fan-in (He et al. 2015), for layers followed by Relu."""
        array = self.rng.standard_normal(shape) * np.sqrt(2.0 / int(np.prod(shape[1:])))
        return self.constant(name, array)

    def constant(self, name, array):
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array, dtype=np.float32), name))
        return name

    def add(self, op, name, inputs, output=None, **attributes):
        output = output or f"{name}.out"
        self.nodes.append(helper.make_node(op, inputs, [output], name=name, **attributes))
        return output

    def dense(self, name, x, fan_in, fan_out, output=None):
        inputs = [x, self.kaiming(f"{name}.weight", (fan_out, fan_in)), self.constant(f"{name}.bias", np.zeros(fan_out))]
        return self.add("Gemm", name, inputs, output, transB=1)

    def convolution(self, name, x, fan_in, fan_out):
        inputs = [x, self.kaiming(f"{name}.weight", (fan_out, fan_in, 5, 5)), self.constant(f"{name}.bias", np.zeros(fan_out))]
        x = self.add("Conv", name, inputs, kernel_shape=[5, 5])
        return self.add("MaxPool", f"pool.{name}", [x], kernel_shape=[2, 2], strides=[2, 2])


def build(kind, seed):
    b = Builder(seed)
    if kind == "300-100":
        x = b.add("Flatten", "flatten", ["image"], axis=1)
        x = b.add("Relu", "relu1", [b.dense("fc1", x, 784, 300)])
        x = b.add("Relu", "relu2", [b.dense("fc2", x, 300, 100)])
        b.dense("fc3", x, 100, CLASSES, "logits")
    else:
        x = b.convolution("conv1", "image", 1, 20)
        x = b.convolution("conv2", x, 20, 50)
        x = b.add("Flatten", "flatten", [x], axis=1)
        x = b.add("Relu", "relu1", [b.dense("fc1", x, 800, 500)])
        b.dense("fc2", x, 500, CLASSES, "logits")
    graph = helper.make_graph(
        b.nodes,
        f"lenet-{kind}",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 28, 28])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES])],
        initializer=b.weights,
    )
    model = helper.make_model(graph, producer_name="pare", opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["300-100", "5"])
    parser.add_argument("out", metavar="OUT.onnx")
    parser.add_argument("--seed", type=int, default=1, help="of the initial weights (default: 1)")
    arguments = parser.parse_args()
    with open(arguments.out, "wb") as file:
        file.write(build(arguments.kind, arguments.seed).SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
