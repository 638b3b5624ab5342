"""Small models for the tests of the command line."""
import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def convolutional(path, odd_op=False, size=28):
    """Conv(4 filters 3x3) -> Relu -> Flatten -> Gemm(10): half of the Conv's weights are zero."""
    random = np.random.default_rng(0)
    filters = random.standard_normal((4, 1, 3, 3)).astype(np.float32)
    filters[:2] = 0
    dense = random.standard_normal((10, 4 * (size - 2) ** 2)).astype(np.float32) * 0.02
    nodes = [helper.make_node("Conv", ["x", "filters"], ["c"], name="conv1"),
             helper.make_node("Relu", ["c"], ["r"], name="relu1"),
             helper.make_node("Flatten", ["r"], ["f"], name="flat"),
             helper.make_node("Gemm", ["f", "dense"], ["y"], name="fc", transB=1)]
    opsets = [helper.make_opsetid("", 17)]
    if odd_op:
        nodes[1] = helper.make_node("Frobnicate", ["c"], ["r"], name="odd", domain="com.example")
        opsets.append(helper.make_opsetid("com.example", 1))
    graph = helper.make_graph(
        nodes, "tiny", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, size, size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(filters, "filters"), numpy_helper.from_array(dense, "dense")])
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return str(path)


def idx_folder(path, count=32, size=28, highest_label=9):
    """A folder in MNIST's layout with `count` training and as many test images."""
    random = np.random.default_rng(1)
    path.mkdir()
    for part in ("train", "t10k"):
        images = random.integers(0, 256, (count, size, size), dtype=np.uint8)
        labels = (np.arange(count) % (highest_label + 1)).astype(np.uint8)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes()
            (path / f"{part}-{kind}-ubyte").write_bytes(header + array.tobytes())
    return str(path)


def outliers(path):
    """A value "wide", one channel of which is a thousand times as large as the others and subtracted later; 64 samples beside it."""
    random = np.random.default_rng(3)
    outlier = np.zeros(32)
    outlier[7] = 3000
    weights = {"a": random.standard_normal((32, 64)), "b": random.standard_normal((64, 32)) * 0.1, "c": random.standard_normal((32, 8)),
               "outlier": outlier, "outlier2": outlier}
    weights["a"][:, 5] = 0
    nodes = [helper.make_node("MatMul", ["x", "a"], ["h"], name="first"), helper.make_node("Relu", ["h"], ["r"]),
             helper.make_node("MatMul", ["r", "b"], ["m"], name="second"), helper.make_node("Add", ["m", "outlier"], ["wide"], name="add"),
             helper.make_node("Abs", ["wide"], ["positive"]), helper.make_node("Sub", ["positive", "outlier2"], ["narrow"]),
             helper.make_node("MatMul", ["narrow", "c"], ["y"], name="last")]
    value = lambda name, size: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", size])  # noqa: E731
    graph = helper.make_graph(nodes, "wide", [value("x", 32)], [value("y", 8)],
                              [numpy_helper.from_array(w.astype(np.float32), n) for n, w in weights.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    samples = random.standard_normal((64, 32)).astype(np.float32)
    np.savez(pathlib.Path(path).with_suffix(".npz"), x=samples)
    return samples
