"""Quantized models against ONNX Runtime with its optimisations off: what `pare evaluate` computes equals it within one step."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

PARE = os.environ["PARE"]
RUNNER = pathlib.Path(PARE).parent / "tests" / "conformance"
MODEL = pathlib.Path(__file__).parents[2] / "models" / "fashion-cnn.onnx"


class Samples(CalibrationDataReader):
    def __init__(self, name, batches):
        self.feeds = iter([{name: batch} for batch in batches])

    def get_next(self):
        return next(self.feeds, None)


def runtime_outputs(path, x):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})


def write_idx(folder, images):
    """uint8 images [N, 28, 28] in the layout of MNIST; the labels are zeros."""
    count = len(images).to_bytes(4, "big")
    (folder / "t10k-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + count + (28).to_bytes(4, "big") * 2 + images.tobytes())
    (folder / "t10k-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01" + count + bytes(len(images)))


def evaluated(path, images):
    """The first output by `pare evaluate`, for inputs of images / 255."""
    folder = path.parent
    write_idx(folder, images)
    command = [PARE, "evaluate", path, "--data", folder, "--runtime", "pare", "--save-outputs", folder / "out.npz", "--force"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return next(iter(numpy.load(folder / "out.npz").values()))


class Quantized(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name) / "model.onnx"

    def fashion_cnn_agrees(self, steps, **settings):
        images = numpy.random.default_rng(3).integers(0, 256, (32, 28, 28)).astype(numpy.uint8)
        x = images[:, None].astype(numpy.float32) * numpy.float32(1 / 255)
        name = onnx.load(MODEL).graph.input[0].name
        quantize_static(MODEL, self.path, Samples(name, numpy.split(x, 4)), per_channel=True, **settings)
        model = onnx.load(self.path)
        values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        last = [node for node in model.graph.node if node.op_type == "QuantizeLinear"][-1]
        difference = numpy.abs(evaluated(self.path, images) - runtime_outputs(self.path, x)[0])
        self.assertLessEqual(difference.max(), 1.001 * steps * float(values[last.input[1]]))

    def test_static_qdq_uint8(self):
        self.fashion_cnn_agrees(1, quant_format=QuantFormat.QDQ, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)

    def test_static_qdq_int8_symmetric(self):
        self.fashion_cnn_agrees(1, quant_format=QuantFormat.QDQ, activation_type=QuantType.QInt8, weight_type=QuantType.QInt8,
                                extra_options={"ActivationSymmetric": True})

    def test_integer_convolutions(self):
        self.fashion_cnn_agrees(1, quant_format=QuantFormat.QOperator, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                                op_types_to_quantize=["Conv"])

    def agrees(self, x, tolerance):
        """Through the runner of conformance cases: any number of outputs."""
        case = self.path.parent / "cases" / "case"
        case.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.path, case / "model.onnx")
        for kind, values in (("input", [x]), ("output", runtime_outputs(self.path, x))):
            for index, value in enumerate(values):
                (case / f"{kind}_{index}.pb").write_bytes(numpy_helper.from_array(value).SerializeToString())
        (case / "tolerances.txt").write_text(f"0 {tolerance}\n")
        done = subprocess.run([RUNNER, case.parent], capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout, "pass case\n")

    def save(self, nodes, initializers, x_shape, outputs, opset=21):
        graph = helper.make_graph(
            nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *x_shape])],
            [helper.make_tensor_value_info(name, kind, ["n", "m"]) for name, kind in outputs],
            initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
        onnx.save(model, self.path)

    def test_rounding_to_even_and_saturation(self):
        values = numpy.array([-1e9, -128.5, -1.5, -0.5, 0.5, 1.5, 2.5, 127.5, 254.5, 255.5, 1e9], numpy.float32)
        nodes, initializers, outputs = [], [], []
        for kind in (TensorProto.UINT8, TensorProto.INT8, TensorProto.INT16, TensorProto.UINT16):
            name = TensorProto.DataType.Name(kind)
            initializers.append(helper.make_tensor(f"zero_{name}", kind, [], [3]))
            nodes.append(helper.make_node("QuantizeLinear", ["x", "one", f"zero_{name}"], [f"q_{name}"]))
            nodes.append(helper.make_node("DequantizeLinear", [f"q_{name}", "one", f"zero_{name}"], [f"y_{name}"]))
            outputs.append((f"y_{name}", TensorProto.FLOAT))
        initializers.append(helper.make_tensor("one", TensorProto.FLOAT, [], [1]))
        self.save(nodes, initializers, [len(values)], outputs)
        self.agrees(values[None].repeat(2, 0), 0)

    def test_int4_weights_in_blocks(self):
        random = numpy.random.default_rng(4)
        for kind in (TensorProto.INT4, TensorProto.UINT4):
            low, high = (-8, 8) if kind == TensorProto.INT4 else (0, 16)
            weight = helper.make_tensor("w", kind, [70, 9], random.integers(low, high, 630))  # 70 = 2 blocks of 32 and 6 more
            scale = numpy_helper.from_array((0.01 + random.random((3, 9))).astype(numpy.float32), "s")
            zero = helper.make_tensor("z", kind, [3, 9], random.integers(low, high, 27))
            nodes = [helper.make_node("DequantizeLinear", ["w", "s", "z"], ["wf"], axis=0, block_size=32),
                     helper.make_node("MatMul", ["x", "wf"], ["y"])]
            self.save(nodes, [weight, scale, zero], [70], [("y", TensorProto.FLOAT)])
            self.agrees(random.standard_normal((5, 70)).astype(numpy.float32), 1e-3)

    def test_dynamic_quantization_is_exact(self):
        random = numpy.random.default_rng(5)
        weight = numpy_helper.from_array(random.integers(-128, 128, (300, 7)).astype(numpy.int8), "w")
        nodes = [helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
                 helper.make_node("MatMulInteger", ["q", "w", "z"], ["i"]),
                 helper.make_node("Cast", ["i"], ["y"], to=TensorProto.FLOAT)]
        self.save(nodes, [weight], [300], [("y", TensorProto.FLOAT)])
        self.agrees(random.standard_normal((6, 300)).astype(numpy.float32), 0)


if __name__ == "__main__":
    unittest.main()
