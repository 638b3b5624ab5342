"""pare quantize without data: numpy decodes what was written, ONNX Runtime runs it."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import h5py
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

PARE = os.environ["PARE"]


def pare(*arguments, code=0):
    done = subprocess.run([PARE, "quantize", *map(str, arguments)], capture_output=True, text=True, timeout=120)
    if done.returncode != code:
        raise AssertionError(f"exit {done.returncode}, expected {code}: {arguments}\n{done.stdout}{done.stderr}")
    return done


def dense_model(path, k=77, n=300, opset=17):
    """x -> MatMul [k,n] -> Add -> Relu -> Gemm transB [64,n]."""
    random = np.random.default_rng(3)
    nodes = [helper.make_node("MatMul", ["x", "first"], ["a"], name="first_matmul"),
             helper.make_node("Add", ["a", "shift"], ["b"], name="add"), helper.make_node("Relu", ["b"], ["c"], name="relu"),
             helper.make_node("Gemm", ["c", "second", "bias"], ["y"], name="last", transB=1)]
    weights = {"first": random.standard_normal((k, n)), "shift": random.standard_normal(n),
               "second": random.standard_normal((64, n)), "bias": random.standard_normal(64)}
    graph = helper.make_graph(nodes, "dense", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", k])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 64])],
                              [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    return weights


def decode(model):
    """Each DequantizeLinear of constants, by its output."""
    constants = {t.name: t for t in model.graph.initializer}
    decoded = {}
    for node in model.graph.node:
        if node.op_type != "DequantizeLinear" or node.input[0] not in constants:
            continue
        codes = numpy_helper.to_array(constants[node.input[0]]).astype(np.float32)
        scale = numpy_helper.to_array(constants[node.input[1]])
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        axis, block = attributes.get("axis", 1), attributes.get("block_size", 0)
        if block:
            scale = np.repeat(scale, block, axis).take(range(codes.shape[axis]), axis)
        elif scale.ndim:
            scale = scale.reshape([-1 if i == axis else 1 for i in range(codes.ndim)])
        decoded[node.output[0]] = codes * scale
    return decoded


class WeightsAlone(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.temporary.name)
        self.addCleanup(self.temporary.cleanup)
        self.model, self.out = self.folder / "model.onnx", self.folder / "small.onnx"

    def test_every_type_and_granularity_decodes_and_runs(self):
        weights = dense_model(self.model)
        x = np.random.default_rng(4).standard_normal((5, 77)).astype(np.float32)
        least = {"int8": 35, "int4": 16, "int3": 10, "int2": 4}
        for kind, snr in least.items():
            for granularity in ("block:16", "block:64", "channel", "tensor"):
                with self.subTest(kind=kind, granularity=granularity):
                    pare(self.model, "--weights", kind, "--granularity", granularity, "--activations", "none", "-o", self.out, "--force")
                    model = onnx.load(self.out)
                    onnx.checker.check_model(model, full_check=True)
                    self.assertEqual([o.version for o in model.opset_import if not o.domain], [21])
                    decoded = decode(model)
                    self.assertEqual(len(decoded), 2)
                    first, second = decoded["first_dequantized"], decoded["second_dequantized"].T
                    for name, value in (("first", first), ("second", second)):
                        error = np.square(weights[name] - value).sum() / np.square(weights[name]).sum()
                        self.assertGreater(-10 * np.log10(error), snr - (6 if granularity == "tensor" else 0), name)
                    expected = np.maximum(x @ first + weights["shift"], 0) @ second.T + weights["bias"]
                    options = onnxruntime.SessionOptions()
                    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
                    actual = onnxruntime.InferenceSession(str(self.out), options).run(None, {"x": x})[0]
                    np.testing.assert_allclose(actual, expected, rtol=2e-4, atol=2e-2)

    def test_blocks_become_integer_products(self):
        dense_model(self.model, k=128, n=256)
        for kind in ("int8", "int4"):
            pare(self.model, "--weights", kind, "-o", self.out, "--force")
            options = onnxruntime.SessionOptions()
            options.optimized_model_filepath = str(self.folder / "optimized.onnx")
            options.log_severity_level = 3
            onnxruntime.InferenceSession(str(self.out), options)
            ops = [node.op_type for node in onnx.load(self.folder / "optimized.onnx").graph.node]
            self.assertEqual(ops.count("MatMulNBits"), 2, ops)

    def test_gptq_changes_outputs_less_than_nearest_in_every_layer(self):
        weights = dense_model(self.model, k=96, n=256)
        random = np.random.default_rng(4)
        # Correlated inputs: what one weight loses, others can make up for.
        x = (random.standard_normal((512, 24)) @ random.standard_normal((24, 96)) + 0.1 * random.standard_normal((512, 96))).astype(np.float32)
        data, other = self.folder / "data.npz", self.folder / "other.onnx"
        np.savez(data, x=x)
        hidden = np.maximum(x @ weights["first"] + weights["shift"], 0)
        inputs = {"first": (x, weights["first"]), "second": (hidden, weights["second"].T)}
        for kind in ("int8", "int4", "int3", "int2"):
            for granularity in ("block:32", "channel"):
                with self.subTest(kind=kind, granularity=granularity):
                    settings = [self.model, "--weights", kind, "--granularity", granularity, "--activations", "none", "--force"]
                    gptq = [*settings, "--data", data, "--limit", "0", "--rounding", "gptq"]
                    report = json.loads(pare(*gptq, "-o", self.out, "--report", "-").stdout)
                    pare(*settings, "-o", other)
                    decoded, nearest = decode(onnx.load(self.out)), decode(onnx.load(other))
                    for (name, (rows, weight)), row in zip(inputs.items(), report["layers"]):
                        size = np.square(rows @ weight).sum()
                        error, plain = (np.square(rows @ (values[f"{name}_dequantized"] - weight)).sum() / size for values in (decoded, nearest))
                        self.assertLess(error, plain, name)
                        self.assertAlmostEqual(row["output_error"] / error, 1, delta=0.05)
                        self.assertAlmostEqual(row["output_error_nearest"] / plain, 1, delta=0.05)
                    first = self.out.read_bytes()
                    pare(*gptq, "-o", self.out)
                    self.assertEqual(first, self.out.read_bytes())
        for extra, words in ((["--rounding", "gptq"], "give --data"),
                             (["--rounding", "gptq", "--data", data, "--activations", "dynamic"], "not for --activations dynamic")):
            self.assertIn(words, pare(self.model, *extra, "-o", self.out, "--force", code=2).stderr)

    def test_dynamic_activations(self):
        weights = dense_model(self.model, k=128, n=256)
        x = np.random.default_rng(4).standard_normal((5, 128)).astype(np.float32)
        expected = np.maximum(x @ weights["first"] + weights["shift"], 0) @ weights["second"].T + weights["bias"]
        pare(self.model, "--activations", "dynamic", "-o", self.out)
        onnx.checker.check_model(onnx.load(self.out), full_check=True)
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(self.folder / "optimized.onnx")
        options.log_severity_level = 3
        actual = onnxruntime.InferenceSession(str(self.out), options).run(None, {"x": x})[0]
        self.assertLess(np.square(actual - expected).sum() / np.square(expected).sum(), 1e-3)
        ops = [node.op_type for node in onnx.load(self.folder / "optimized.onnx").graph.node]
        self.assertEqual(ops.count("DynamicQuantizeMatMul"), 2, ops)
        self.assertIn("int8 weights", pare(self.model, "--activations", "dynamic", "--weights", "int4", "-o", self.out, "--force", code=2).stderr)

    def test_report(self):
        dense_model(self.model)
        report = json.loads(pare(self.model, "--weights", "int4", "-o", self.out, "--report", "-").stdout)
        self.assertEqual([(row["name"], row["op"], row["shape"], row["bits"]) for row in report["layers"]],
                         [("first_matmul", "MatMul", [77, 300], 4), ("last", "Gemm", [300, 64], 4)])
        self.assertEqual(report["settings"]["granularity"], "block:32")
        self.assertEqual(report["result"]["parameters"], report["model"]["parameters"] + 1)  # Relu became Max with 0
        self.assertEqual(report["result"]["bytes"], self.out.stat().st_size)
        self.assertLess(report["metrics"]["bytes_ratio"], 0.25)

    def test_hdf5_and_back(self):
        dense_model(self.model)
        packed = self.folder / "small.h5"
        pare(self.model, "--weights", "int4", "-o", self.out, "-o", packed)
        subprocess.run([PARE, "convert", packed, self.folder / "back.onnx"], check=True, capture_output=True)
        self.assertEqual((self.folder / "back.onnx").read_bytes(), self.out.read_bytes())
        done = pare(self.out, "--weights", "int8", "-o", self.folder / "again.onnx", code=3)
        self.assertIn("is quantized already", done.stderr)
        self.assertFalse((self.folder / "again.onnx").exists())

    def test_larger_than_the_input_is_a_missed_goal(self):
        dense_model(self.model, k=2, n=3)
        done = pare(self.model, "--weights", "int8", "-o", self.out, code=5)
        self.assertIn("is not smaller than the input", done.stderr)
        self.assertTrue(self.out.exists())

    def test_include_and_exclude(self):
        dense_model(self.model)
        report = json.loads(pare(self.model, "--exclude", "fir*", "-o", self.out, "--report", "-").stdout)
        self.assertEqual([row["name"] for row in report["layers"]], ["last"])
        done = pare(self.model, "--include", "nothing*", "-o", self.folder / "no.onnx", code=2)
        self.assertIn("'nothing*' matches no weight", done.stderr)

    def test_a_budget_of_bits_is_met_with_the_least_error(self):
        dense_model(self.model, k=256, n=320)
        weights, out = 256 * 320 + 64 * 320, self.folder / "small.h5"
        mixed = set()
        for budget, most in (("3.2bpw", 3.2 * weights / 8), ("40000", 40000), ("6bpw", 6 * weights / 8), ("2.6bpw", 2.6 * weights / 8)):
            report = json.loads(pare(self.model, "--bits-budget", budget, "--granularity", "channel", "-o", out, "--report", "-", "--force").stdout)
            bits = {row["name"]: row["bits"] for row in report["layers"]}
            mixed.add(tuple(bits.values()))
            with h5py.File(out) as file:
                payload = sum(int(row["bytes"]) for row in file["tensors/index"] if row["name"].endswith((b"_codes", b"_scale")))
            self.assertLessEqual(payload, most)
            self.assertGreaterEqual(payload, 0.6 * most)
        self.assertTrue(any(len(set(bits)) == 2 for bits in mixed), mixed)  # not one width for all
        self.assertGreater(len(mixed), 2)

    def test_a_budget_out_of_reach_is_a_missed_goal_with_the_best_written(self):
        dense_model(self.model)
        report = self.folder / "report.json"
        done = pare(self.model, "--bits-budget", 100, "-o", self.out, "--report", report, code=5)
        self.assertIn("out of reach", done.stderr)
        self.assertEqual([row["bits"] for row in json.loads(report.read_text())["layers"]], [2, 2])
        self.assertTrue(self.out.exists())
        for bad in ("12k", "0", "3.5", "99bpw"):
            self.assertIn("bad budget", pare(self.model, "--bits-budget", bad, "-o", self.out, "--force", code=2).stderr)
        self.assertIn("weights alone", pare(self.model, "--bits-budget", "3bpw", "--activations", "dynamic", "-o", self.out, "--force", code=2).stderr)

    def test_dry_run_shows_the_bits_of_a_budget(self):
        dense_model(self.model)
        report = json.loads(pare(self.model, "--bits-budget", "3.9bpw", "--dry-run", "-o", self.out, "--report", "-").stdout)
        self.assertLessEqual(report["plan"]["weight_bytes"], report["plan"]["budget_bytes"])
        self.assertEqual(len(report["layers"]), 2)
        text = pare(self.model, "--bits-budget", "3.9bpw", "--dry-run", "-o", self.out).stdout
        self.assertIn(f"--outer-bits 0 --bits 'first={report['layers'][0]['bits']}'", text)
        self.assertFalse(self.out.exists())

    def test_dry_run_writes_nothing(self):
        dense_model(self.model)
        report = json.loads(pare(self.model, "--dry-run", "-o", self.out, "--report", "-").stdout)
        self.assertEqual(report["plan"]["weights"], 77 * 300 + 64 * 300)
        self.assertFalse(self.out.exists())

    def test_bad_values(self):
        dense_model(self.model)
        for arguments, message in ((["--weights", "int5"], "int5"), (["--granularity", "block:33"], "power of two"),
                                   (["--granularity", "row"], "expected tensor, channel or block:N")):
            self.assertIn(message, pare(self.model, *arguments, "-o", self.out, code=2).stderr)

    def test_same_bytes_for_any_number_of_threads(self):
        dense_model(self.model)
        other = self.folder / "other.onnx"
        pare(self.model, "--threads", 1, "-o", self.out)
        pare(self.model, "--threads", 7, "-o", other)
        self.assertEqual(self.out.read_bytes(), other.read_bytes())


if __name__ == "__main__":
    unittest.main()
