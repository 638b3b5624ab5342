"""pare quantize --rounding adaround and gptq: every layer's outputs in ONNX Runtime are nearer to the float ones than with nearest rounding."""
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
# Each weight, and the value behind its layer.
LAYERS = {"grouped": "b", "depthwise": "d", "pointwise": "f", "dense": "i", "last": "y"}


def pare(*arguments, code=0):
    done = subprocess.run([PARE, "quantize", *map(str, arguments), "--threads", "1"], capture_output=True, text=True, timeout=300)
    if done.returncode != code:
        raise AssertionError(f"exit {done.returncode}, expected {code}: {arguments}\n{done.stdout}{done.stderr}")
    return done


def report(*arguments):
    return json.loads(pare(*arguments, "--report", "-").stdout)


def network(path):
    """Convolutions with groups, one for each channel and 1x1, Relu and Clip, Gemm with transB, MatMul and Add; and 128 smooth images."""
    random = np.random.default_rng(5)
    shapes = {"grouped": (8, 2, 3, 3), "depthwise": (8, 1, 3, 3), "pointwise": (64, 8, 1, 1), "dense": (64, 64), "last": (64, 40)}
    weights = {name: random.standard_normal(shape) * 0.4 for name, shape in shapes.items()}
    weights |= {"bias1": random.standard_normal(8) * 0.1, "bias2": random.standard_normal(64) * 0.1, "bias3": random.standard_normal(40) * 0.1,
                "zero": np.array(0.0), "six": np.array(6.0)}
    node = helper.make_node
    nodes = [node("Conv", ["x", "grouped", "bias1"], ["a"], name="n1", group=2, pads=[1] * 4), node("Relu", ["a"], ["b"], name="n2"),
             node("Conv", ["b", "depthwise"], ["c"], name="n3", group=8, pads=[1] * 4), node("Relu", ["c"], ["d"], name="n4"),
             node("Conv", ["d", "pointwise"], ["e"], name="n5"), node("Clip", ["e", "zero", "six"], ["f"], name="n6"),
             node("GlobalAveragePool", ["f"], ["g"], name="n7"), node("Flatten", ["g"], ["h"], name="n8"),
             node("Gemm", ["h", "dense", "bias2"], ["i"], name="n9", transB=1),
             node("MatMul", ["i", "last"], ["k"], name="n10"), node("Add", ["k", "bias3"], ["y"], name="n11")]
    graph = helper.make_graph(nodes, "mixed", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4, 8, 8])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 40])],
                              [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    images = random.standard_normal((128, 4, 8, 8))
    images = sum(np.roll(images, (i, j), (2, 3)) for i in range(3) for j in range(3)) / 3
    images[:, 1] = 0.8 * images[:, 0] + 0.2 * images[:, 1]
    images = images.astype(np.float32)
    np.savez(path.with_suffix(".npz"), x=images)
    return images


def value_of(model, name, feed):
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    copy.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(copy.SerializeToString(), options).run([name], feed)[0]


def layer_errors(exact, learned, nearest, images):
    """Of each layer behind the learned ones: its relative squared error in ONNX Runtime with its learned and with its nearest codes."""
    codes = {t.name: t for t in nearest.graph.initializer}
    result = {}
    for name, end in LAYERS.items():
        target = value_of(exact, end, {"x": images})
        swapped = onnx.ModelProto()
        swapped.CopyFrom(learned)
        for tensor in swapped.graph.initializer:
            if tensor.name == f"{name}_codes":
                tensor.CopyFrom(codes[tensor.name])
        result[name] = [float(np.square(value_of(model, end, {"x": images}) - target).sum() / np.square(target).sum()) for model in (learned, swapped)]
    return result


def divergence(target, actual):
    """Kullback-Leibler, of the softmaxes, mean over the samples."""
    logs = [y - np.log(np.exp(y - y.max(1, keepdims=True)).sum(1, keepdims=True)) - y.max(1, keepdims=True) for y in (target.astype(float), actual.astype(float))]
    return float((np.exp(logs[0]) * (logs[0] - logs[1])).sum(1).mean())


def integers(model, name):
    return numpy_helper.to_array(next(t for t in model.graph.initializer if t.name == f"{name}_codes")).astype(int)


class Adaround(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.temporary.name)
        self.addCleanup(self.temporary.cleanup)
        self.model, self.out, self.other = (self.folder / name for name in ("model.onnx", "small.onnx", "other.onnx"))
        self.images = network(self.model)
        self.data = self.model.with_suffix(".npz")

    def compare(self, settings, rounding):
        """Quantizes with and without, and checks every layer, its codes and its row of the report."""
        settings = [self.model, "--data", self.data, *settings, "--force"]
        done = report(*settings, *rounding, "-o", self.out)
        without = settings if "none" not in settings else [s for s in settings if s not in ("--data", self.data)]
        pare(*without, "--rounding", "nearest", "-o", self.other)
        exact, learned, nearest = onnx.load(self.model), onnx.load(self.out), onnx.load(self.other)
        errors = layer_errors(exact, learned, nearest, self.images)
        rows = {row["name"]: row for row in done["layers"]}
        names = {node.input[1]: node.name for node in exact.graph.node if len(node.input) > 1}
        kept = [name for name in LAYERS if any(f"'{name}' keeps" in text or f"'{names[name]}' keeps" in text for text in done["warnings"])]
        self.assertLessEqual(set(kept), {"depthwise"})  # of nine inputs, where nearest may be best
        for name, (error, plain) in errors.items():
            with self.subTest(layer=name):
                if name in kept:
                    self.assertEqual(error, plain)
                    continue
                self.assertLess(error, plain)
                row = rows[names[name]]
                self.assertAlmostEqual(row["output_error"] / error, 1, delta=0.1)
                self.assertAlmostEqual(row["output_error_nearest"] / plain, 1, delta=0.1)
                moved = np.abs(integers(learned, name) - integers(nearest, name))
                self.assertGreater(moved.max(), 0)
                if "adaround" in rounding:
                    self.assertLessEqual(moved.max(), 1)
        return done

    def test_every_layer_of_weights_alone(self):
        for kind, granularity in (("int4", "channel"), ("int3", "block:16")):
            with self.subTest(kind=kind):
                self.compare(["--weights", kind, "--granularity", granularity, "--activations", "none"], ["--rounding", "adaround", "--rounding-steps", "200"])

    def test_every_layer_behind_quantized_activations(self):
        done = self.compare(["--weights", "int4", "--activations", "uint8", "--no-equalize"], ["--rounding", "adaround", "--rounding-steps", "200", "--tune-steps", "0"])
        self.assertNotIn("tuning", done["result"])

    def test_gptq_is_the_default_behind_quantized_activations(self):
        settings = [self.model, "--data", self.data, "--weights", "int4", "--force"]
        done = report(*settings, "-o", self.out)
        self.assertEqual(done["settings"]["rounding"], "gptq")
        self.assertNotIn("tuning", done["result"])
        for row in done["layers"]:
            with self.subTest(layer=row["name"]):
                self.assertLessEqual(row["output_error"], row["output_error_nearest"])
        given = self.out.read_bytes()
        pare(*settings, "--rounding", "gptq", "--activations", "uint8", "-o", self.out)
        self.assertEqual(self.out.read_bytes(), given)
        pare(*settings, "--rounding", "nearest", "-o", self.other)
        target, learned, nearest = (value_of(onnx.load(path), "y", {"x": self.images}) for path in (self.model, self.out, self.other))
        self.assertLess(np.square(learned - target).sum(), 0.7 * np.square(nearest - target).sum())

    def test_tuned_ranges_lower_the_divergence_and_the_file_is_what_was_simulated(self):
        settings = [self.model, "--data", self.data, "--weights", "int4", "--activations", "int4", "--force"]
        pare(*settings, "--rounding", "nearest", "-o", self.other)
        done = report(*settings, "--rounding", "adaround", "--rounding-steps", "200", "--tune-steps", "200", "-o", self.out)
        self.assertLess(done["result"]["tuning"]["loss_after"], done["result"]["tuning"]["loss_before"])
        onnx.checker.check_model(onnx.load(self.out), full_check=True)
        target = value_of(onnx.load(self.model), "y", {"x": self.images})
        actual = value_of(onnx.load(self.out), "y", {"x": self.images})
        plain = value_of(onnx.load(self.other), "y", {"x": self.images})
        self.assertLess(divergence(target, actual), 0.7 * divergence(target, plain))
        noise = np.square(actual - target).sum() / np.square(target).sum()
        self.assertAlmostEqual(-10 * np.log10(noise), done["metrics"]["snr_db"], delta=0.2)
        subprocess.run([PARE, "evaluate", self.out, "--data", self.data, "--runtime", "pare", "--save-outputs", self.folder / "y.npz"],
                       check=True, capture_output=True)
        np.testing.assert_allclose(np.load(self.folder / "y.npz")["y"], actual, rtol=1e-4, atol=1e-4)

    def test_equal_seeds_give_equal_files(self):
        settings = [self.model, "--data", self.data, "--weights", "int4", "--activations", "uint8", "--rounding", "adaround",
                    "--rounding-steps", "50", "--tune-steps", "20"]
        for path, seed in ((self.out, 1), (self.other, 1), (self.folder / "third.onnx", 2)):
            pare(*settings, "--seed", seed, "-o", path)
        self.assertEqual(self.out.read_bytes(), self.other.read_bytes())
        self.assertNotEqual(self.out.read_bytes(), (self.folder / "third.onnx").read_bytes())

    def test_outer_layers_have_bits_of_their_own(self):
        done = report(self.model, "--data", self.data, "--weights", "int4", "--activations", "int4", "--outer-bits", 8, "-o", self.out)
        self.assertEqual([row["bits"] for row in done["layers"]], [8, 4, 4, 4, 8])
        model = onnx.load(self.out)
        self.assertGreater(np.abs(integers(model, "grouped")).max(), 7)
        self.assertLessEqual(np.abs(integers(model, "depthwise")).max(), 7)
        clipped = [node.input[0] for node in model.graph.node if node.op_type == "Clip" and node.input[1].startswith("code_")]
        self.assertNotIn("x_quantized", clipped)
        self.assertIn("b_quantized", clipped)
        self.assertIn("expected 0 or 2 to 8", pare(self.model, "--data", self.data, "--outer-bits", 1, "-o", self.other, code=2).stderr)
        self.assertIn("with activations", pare(self.model, "--outer-bits", 8, "-o", self.other, code=2).stderr)

    def test_what_cannot_be(self):
        for extra, words in ((["--rounding", "adaround"], "give --data"),
                             (["--rounding", "adaround", "--data", self.data, "--activations", "dynamic"], "not for --activations dynamic"),
                             (["--data", self.data, "--rounding-steps", "5"], "is for --rounding adaround (got gptq)"),
                             (["--data", self.data, "--rounding", "nearest", "--tune-steps", "5"], "is for --rounding gptq or adaround (got nearest)"),
                             (["--data", self.data, "--rounding", "nearest", "--tune-steps", "0"], "is for --rounding gptq or adaround (got nearest)"),
                             (["--rounding", "adaround", "--data", self.data, "--activations", "none", "--tune-steps", "5"], "ranges of activations"),
                             (["--rounding", "adaround", "--data", self.data, "--activations", "int4", "--bias-correct"], "trains the biases")):
            self.assertIn(words, pare(self.model, *extra, "-o", self.out, code=2).stderr)
        # With 8 bits nothing is tuned, and the biases may be corrected behind the rounding.
        done = report(self.model, "--data", self.data, "--rounding", "adaround", "--rounding-steps", "50", "--bias-correct", "-o", self.out)
        self.assertIn("corrected_biases", done["result"])


if __name__ == "__main__":
    unittest.main()
