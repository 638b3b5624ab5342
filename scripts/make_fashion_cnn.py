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


def build(seed):
    rng = np.random.Generator(np.random.PCG64(seed))
    nodes, weights = [], []

    def weight(name, array):
        weights.append(numpy_helper.from_array(np.ascontiguousarray(array, dtype=np.float32), name))
        return name

    def add(op, name, inputs, output=None, **attributes):
        output = output or f"{name}.out"
        nodes.append(helper.make_node(op, inputs, [output], name=name, **attributes))
        return output

    x = "image"
    for i, (fan_in, fan_out) in enumerate(zip(CHANNELS, CHANNELS[1:]), start=1):
        kernel = weight(f"conv{i}.weight", kaiming(rng, (fan_out, fan_in, 3, 3)))
        x = add("Conv", f"conv{i}", [x, kernel], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1])
        statistics = [
            weight(f"bn{i}.scale", np.ones(fan_out)),
            weight(f"bn{i}.bias", np.zeros(fan_out)),
            weight(f"bn{i}.mean", np.zeros(fan_out)),
            weight(f"bn{i}.var", np.ones(fan_out)),
        ]
        x = add("BatchNormalization", f"bn{i}", [x, *statistics], epsilon=1e-5, momentum=0.9)
        x = add("Relu", f"relu{i}", [x])
        if i in POOL_AFTER:
            x = add("MaxPool", f"pool{i}", [x], kernel_shape=[2, 2], strides=[2, 2])
    x = add("GlobalAveragePool", "average", [x])
    x = add("Flatten", "flatten", [x], axis=1)
    head = kaiming(rng, (CLASSES, CHANNELS[-1])) / np.float32(np.sqrt(2.0))  # no Relu follows
    add("Gemm", "classifier", [x, weight("classifier.weight", head), weight("classifier.bias", np.zeros(CLASSES))], "logits", transB=1)

    graph = helper.make_graph(
        nodes,
        "fashion-cnn",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", CHANNELS[0], 28, 28])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES])],
        initializer=weights,
    )
    model = helper.make_model(graph, producer_name="pare", opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", metavar="OUT.onnx")
    parser.add_argument("--seed", type=int, default=1, help="of the initial weights (default: 1)")
    arguments = parser.parse_args()
    with open(arguments.out, "wb") as file:
        file.write(build(arguments.seed).SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
