#!/usr/bin/env python3
"""Adds normal noise to every float weight of an ONNX file: SHARE times the weight tensor's standard deviation.

Usage: add_noise.py MODEL.onnx SHARE SEED OUT.onnx

Tensors of fewer than two dimensions stay as they are: steps, offsets and statistics are no weights. The same seed gives the same bytes.
"""
import sys

import numpy as np
import onnx
from onnx import numpy_helper


def tensors(model):
    yield from model.graph.initializer
    for node in model.graph.node:
        if node.op_type == "Constant":
            yield from (attribute.t for attribute in node.attribute if attribute.name == "value")


def main(source, share, seed, out):
    model = onnx.load(source)
    random = np.random.default_rng(int(seed))
    for tensor in tensors(model):
        if len(tensor.dims) < 2 or tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        weight = numpy_helper.to_array(tensor)
        noisy = weight + random.standard_normal(weight.shape, np.float32) * weight.std() * np.float32(share)
        tensor.CopyFrom(numpy_helper.from_array(noisy.astype(np.float32), tensor.name))
    onnx.save(model, out)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
