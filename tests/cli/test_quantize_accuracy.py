"""Options of `pare quantize --data` that make the rounded model nearer to the float one, with ONNX Runtime and numpy as oracles."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

PARE = os.environ["PARE"]


def run(path, samples):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": samples})[0]


def cosine(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum() / np.sqrt((a ** 2).sum() * (b ** 2).sum())


def save(path, nodes, inputs, output, weights, samples):
    graph = helper.make_graph(nodes, "model", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *inputs])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", *output])],
                              [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    np.savez(path.with_suffix(".npz"), x=samples)


def separable_model(path):
    """1x1 Conv -> Relu -> depthwise -> Relu -> 1x1 Conv, where channels differ by 100 in range and count alike."""
    random = np.random.default_rng(0)
    gain = np.exp(random.uniform(-2.3, 2.3, 16))
    weights = {"w1": random.standard_normal((16, 3, 1, 1)) * gain[:, None, None, None], "b1": random.standard_normal(16) * gain * 0.2,
               "w2": random.standard_normal((16, 1, 3, 3)) / gain[:, None, None, None] * 0.4, "b2": random.standard_normal(16) * 0.1,
               "w3": random.standard_normal((6, 16, 1, 1)) * 0.3}
    nodes = [helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], name="expand"), helper.make_node("Relu", ["c1"], ["r1"]),
             helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], name="depthwise", group=16, pads=[1, 1, 1, 1]), helper.make_node("Relu", ["c2"], ["r2"]),
             helper.make_node("Conv", ["r2", "w3"], ["y"], name="project")]
    samples = np.abs(random.standard_normal((48, 3, 8, 8))).astype(np.float32)
    save(path, nodes, [3, 8, 8], [6, 8, 8], weights, samples)
    return samples


def normalised_model(path):
    """LayerNormalization with two channels that are 60 times as large as the others, read by a product and a sum."""
    random = np.random.default_rng(1)
    gamma = np.ones(32)
    gamma[[3, 17]] = 60
    first = random.standard_normal((32, 48)) * 0.2
    first[[3, 17]] /= 60
    weights = {"gamma": gamma, "beta": random.standard_normal(32) * 0.1, "w1": first, "b1": random.standard_normal(48) * 0.1,
               "w2": random.standard_normal((48, 32)) * 0.2}
    nodes = [helper.make_node("LayerNormalization", ["x", "gamma", "beta"], ["n"], name="norm"),
             helper.make_node("MatMul", ["n", "w1"], ["m1"], name="first"), helper.make_node("Add", ["m1", "b1"], ["a1"]),
             helper.make_node("Relu", ["a1"], ["r1"]), helper.make_node("MatMul", ["r1", "w2"], ["y"], name="second")]
    samples = random.standard_normal((64, 32)).astype(np.float32)
    save(path, nodes, [32], [32], weights, samples)
    return samples


class Accuracy(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        self.model, self.out = self.folder / "model.onnx", self.folder / "small.onnx"

    def quantize(self, *arguments, code=0):
        command = [PARE, "quantize", self.model, "--data", self.model.with_suffix(".npz"), "--calibration", "minmax", "-o", self.out, "--force", *arguments]
        done = subprocess.run([*map(str, command), "--report", "-"], capture_output=True, text=True, timeout=120)
        # 5: models of a few weights become no smaller.
        self.assertIn(done.returncode, (code, 5) if code == 0 else (code,), done.stderr)
        return json.loads(done.stdout) if code == 0 else done.stderr

    def test_equalize(self):
        samples = separable_model(self.model)
        expected = run(self.model, samples)
        self.quantize("--no-equalize")
        before = cosine(expected, run(self.out, samples))
        done = self.quantize()
        after = cosine(expected, run(self.out, samples))
        self.assertEqual((done["result"]["equalized"], done["settings"]["equalize"]), (1, True))
        self.assertLess(1 - after, (1 - before) / 2)
        done = self.quantize("--equalize", "--granularity", "tensor")
        self.assertEqual(done["result"]["equalized"], 2)
        self.assertGreater(cosine(expected, run(self.out, samples)), before)

    def test_ranges_of_channels_come_closer(self):
        separable_model(self.model)
        spread = []
        for options in (["--no-equalize"], []):
            self.quantize(*options)
            model = onnx.load(self.out)
            model.graph.output.append(helper.make_tensor_value_info("r1", TensorProto.FLOAT, None))
            session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
            # Ranges are those of the first 32 samples.
            largest = session.run(["r1"], {"x": np.load(self.model.with_suffix(".npz"))["x"][:32]})[0].max(axis=(0, 2, 3))
            spread.append(np.log(largest[largest > 0]))
        self.assertGreater(np.ptp(spread[0]), 2)
        np.testing.assert_allclose(spread[1], spread[0] / 2, atol=0.03)

    def test_files_beside_the_output_are_left_alone(self):
        separable_model(self.model)
        before = {path: path.read_bytes() for path in (self.model, self.model.with_suffix(".npz"))}
        for name in "small.onnx.optimized.onnx", "small.onnx.tmp":
            before[self.folder / name] = (self.folder / name).write_bytes(b"mine") and b"mine"
        self.quantize()
        self.assertEqual({path: path.read_bytes() for path in self.folder.iterdir() if path != self.out}, before)

    def test_smooth(self):
        samples = normalised_model(self.model)
        expected = run(self.model, samples)
        before = self.quantize()
        self.assertEqual([row["name"] for row in before["result"]["float_values"]], ["n"])
        done = self.quantize("--smooth", 0.5)
        self.assertEqual((done["result"]["smoothed"], done["settings"]["smooth"]), (2, 0.5))
        # What had to stay float for the outputs' sake is quantized now.
        self.assertEqual(done["result"]["float_values"], [])
        self.assertEqual([row["result"]["integer_kernels"]["products"] for row in (before, done)], [{"integer": 1, "all": 2}, {"integer": 2, "all": 2}])
        self.assertGreater(cosine(expected, run(self.out, samples)), 0.9998)
        # Folded: no node more than without.
        ops = [node.op_type for node in onnx.load(self.out).graph.node if node.op_type not in ("QuantizeLinear", "DequantizeLinear")]
        self.assertEqual(ops, ["LayerNormalization", "MatMul", "Add", "Relu", "MatMul"])

    def test_bias_correct(self):
        samples = separable_model(self.model)
        expected = run(self.model, samples)
        self.quantize("--weights", "int4", "--rounding", "nearest")
        before = (run(self.out, samples) - expected).mean(axis=(0, 2, 3))
        plain = cosine(expected, run(self.out, samples))
        done = self.quantize("--weights", "int4", "--rounding", "nearest", "--bias-correct")
        after = (run(self.out, samples) - expected).mean(axis=(0, 2, 3))
        self.assertLess(np.abs(after).mean(), 0.5 * np.abs(before).mean())
        self.assertGreater(cosine(expected, run(self.out, samples)), plain)
        self.assertEqual({row["layer"] for row in done["result"]["corrected_biases"]}, {"expand", "depthwise", "project"})
        self.assertTrue(done["settings"]["bias-correct"])

    def test_all_at_once_and_reproducible(self):
        separable_model(self.model)
        everything = ["--equalize", "--smooth", 0.5, "--bias-correct", "--batch", 7]
        self.quantize(*everything)
        first = self.out.read_bytes()
        self.quantize(*everything, "--threads", 3)
        self.assertEqual(self.out.read_bytes(), first)
        onnxruntime.InferenceSession(str(self.out))

    def test_opset_21_stores_int4(self):
        samples = separable_model(self.model)
        outputs, types = [], []
        for opset in (0, 21):
            self.quantize("--weights", "int4", "--opset", opset)
            outputs.append(run(self.out, samples))
            types.append({t.data_type for t in onnx.load(self.out).graph.initializer if t.name in ("w1_codes", "w1_zero_point")})
        self.assertEqual(types, [{TensorProto.INT8}, {TensorProto.INT4}])
        np.testing.assert_array_equal(outputs[0], outputs[1])
        self.quantize("--opset", 21)  # int8 stays int8
        self.assertEqual({t.data_type for t in onnx.load(self.out).graph.initializer if t.name == "w1_codes"}, {TensorProto.INT8})

    def test_bad_options(self):
        separable_model(self.model)
        for arguments, message in ((["--opset", 13], "INT4 needs opset 21"), (["--smooth", 1.5], "--smooth"), (["--smooth", -0.5], "expected 0 to 1")):
            self.assertIn(message, self.quantize(*arguments, code=2))
        self.assertIn("contradicts", self.quantize("--equalize", "--no-equalize", code=2))
        for option in (["--equalize"], ["--smooth", "0.5"], ["--bias-correct"]):
            done = subprocess.run([PARE, "quantize", str(self.model), *option, "-o", str(self.out)], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(f"{option[0]}: is for quantized activations", done.stderr)


if __name__ == "__main__":
    unittest.main()
