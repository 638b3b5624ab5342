"""pare quantize with samples: ONNX Runtime loads what was written, runs it with integer kernels, and agrees."""
import collections
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import models
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

PARE = os.environ["PARE"]
DATA = pathlib.Path("/usr/share/datasets/fashion-mnist")
MODEL = pathlib.Path(__file__).parents[2] / "models" / "fashion-cnn.onnx"
INTEGER = {"QLinearConv", "QLinearMatMul", "QGemm", "QLinearAdd", "MatMulIntegerToFloat", "QLinearGlobalAveragePool"}


def pare(*arguments, code=0):
    done = subprocess.run([PARE, "quantize", *map(str, arguments)], capture_output=True, text=True, timeout=300)
    if done.returncode != code:
        raise AssertionError(f"exit {done.returncode}, expected {code}: {arguments}\n{done.stdout}{done.stderr}")
    return done


def report(*arguments, code=0):
    return json.loads(pare(*arguments, "--report", "-", code=code).stdout)


def optimized_ops(path, folder):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(path), options)
    return collections.Counter(node.op_type for node in onnx.load(folder / "optimized.onnx").graph.node)


def plain(path, feed):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(str(path), options).run(None, feed)[0]


def dense_model(path):
    """x -> MatMul -> Add -> Relu -> Gemm, and 200 samples."""
    random = np.random.default_rng(3)
    weights = {"first": random.standard_normal((40, 64)) * 0.2, "shift": random.standard_normal(64) * 0.1,
               "second": random.standard_normal((32, 64)) * 0.2, "bias": random.standard_normal(32) * 0.1}
    nodes = [helper.make_node("MatMul", ["x", "first"], ["a"], name="first_matmul"),
             helper.make_node("Add", ["a", "shift"], ["b"], name="add"), helper.make_node("Relu", ["b"], ["c"], name="relu"),
             helper.make_node("Gemm", ["c", "second", "bias"], ["y"], name="last", transB=1)]
    graph = helper.make_graph(nodes, "dense", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 40])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 32])],
                              [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    samples = random.standard_normal((200, 40)).astype(np.float32)
    np.savez(path.with_suffix(".npz"), x=samples)
    return samples


def maps_model(path, channels, size):
    """x [N,1,size,size] -> Conv, whose maps are the output."""
    weight = np.random.default_rng(5).standard_normal((channels, 1, 3, 3)).astype(np.float32)
    graph = helper.make_graph([helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])], "maps",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, size, size])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", channels, size, size])], [numpy_helper.from_array(weight, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


class Static(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.temporary.name)
        self.addCleanup(self.temporary.cleanup)
        self.model, self.out = self.folder / "model.onnx", self.folder / "small.onnx"
        self.data = self.model.with_suffix(".npz")

    def test_bundled_cnn(self):
        done = report(MODEL, "--data", DATA, "--limit", 256, "-o", self.out)
        self.assertLessEqual(done["metrics"]["accuracy_drop"], 0.0015)
        self.assertGreater(done["metrics"]["cosine"], 0.998)
        onnx.checker.check_model(onnx.load(self.out), full_check=True)
        before = collections.Counter(node.op_type for node in onnx.load(MODEL).graph.node)
        after = optimized_ops(self.out, self.folder)
        self.assertEqual(after["QLinearConv"], before["Conv"], after)
        self.assertEqual(after["Conv"] + after["FusedConv"] + after["Gemm"], 0, after)

    def test_simulator_and_runtime_agree_to_a_step(self):
        samples = dense_model(self.model)
        for calibration in ("minmax", "percentile:99.9", "entropy", "mse"):
            for extra in ([], ["--symmetric"], ["--granularity", "tensor"], ["--target", "avx2"]):
                with self.subTest(calibration=calibration, extra=extra):
                    done = report(self.model, "--data", self.data, "--calibration", calibration, *extra, "-o", self.out, "--force")
                    self.assertGreater(done["metrics"]["cosine"], 0.99)
                    subprocess.run([PARE, "evaluate", self.out, "--data", self.data, "--runtime", "pare", "--save-outputs", self.folder / "y.npz", "--force"],
                                   check=True, capture_output=True)
                    ours, theirs = np.load(self.folder / "y.npz")["y"], plain(self.out, {"x": samples})
                    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)

    def test_integer_kernels_and_types(self):
        dense_model(self.model)
        report(self.model, "--data", self.data, "-o", self.out)
        ops = optimized_ops(self.out, self.folder)
        self.assertGreaterEqual(sum(ops[op] for op in INTEGER), 2, ops)
        self.assertEqual(ops["MatMul"] + ops["Gemm"], 0, ops)
        constants = {t.name: numpy_helper.to_array(t) for t in onnx.load(self.out).graph.initializer}
        self.assertEqual(constants["shift_codes"].dtype, np.int32)
        self.assertEqual(constants["second_scale"].shape, (32,))
        self.assertEqual(constants["x_zero_point"].dtype, np.uint8)
        report(self.model, "--data", self.data, "--target", "avx2", "-o", self.out, "--force")
        constants = {t.name: numpy_helper.to_array(t) for t in onnx.load(self.out).graph.initializer}
        self.assertLessEqual(np.abs(constants["first_codes"].astype(int)).max(), 63)

    def test_tensorrt_sums_of_layers_of_which_one_stays_float(self):
        random = np.random.default_rng(7)
        weights = [numpy_helper.from_array(random.standard_normal((4, 4, 3, 3)).astype(np.float32) / 6, f"w{i}") for i in range(5)]
        conv = lambda i, x, y: helper.make_node("Conv", [x, f"w{i}"], [y], pads=[1, 1, 1, 1])
        relu = lambda x, y: helper.make_node("Relu", [x], [y])
        nodes = [conv(0, "x", "a"), relu("a", "b"), conv(1, "b", "short"), conv(2, "b", "c"), relu("c", "d"), conv(3, "d", "long"),
                 helper.make_node("Add", ["short", "long"], ["sum"]), relu("sum", "e"), conv(4, "e", "y")]
        graph = helper.make_graph(nodes, "sums", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4, 12, 12])],
                                  [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4, 12, 12])], weights)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), self.model)
        np.savez(self.data, x=random.standard_normal((16, 4, 12, 12)).astype(np.float32))
        pare(self.model, "--data", self.data, "--profile", "tensorrt", "--max-drop", "1e-9", "-o", self.out, code=5)
        onnxruntime.InferenceSession(str(self.out))

    def test_the_runtime_counts_kernels_where_there_is_room_for_its_graph(self):
        dense_model(self.model)
        for folder, source in ((self.folder, "ONNX Runtime"), (self.folder / "nowhere", "placement")):
            command = [PARE, "quantize", self.model, "--data", self.data, "-o", self.out, "--force", "--report", "-", "-q"]
            done = subprocess.run([str(part) for part in command], env={**os.environ, "TMPDIR": str(folder)}, cwd=self.folder, capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            written = json.loads(done.stdout)
            self.assertIn(source, written["result"]["integer_kernels"]["source"])
            self.assertEqual(written["result"]["integer_kernels"]["products"], {"integer": 2, "all": 2})
            self.assertGreater(written["metrics"]["speedup"], 0)
            self.assertEqual(list(self.folder.glob("pare-optimized*")), [])

    def test_tensorrt_has_int8_without_zero_point_and_float_biases(self):
        dense_model(self.model)
        report(self.model, "--data", self.data, "--profile", "tensorrt", "-o", self.out)
        model = onnx.load(self.out)
        constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        zeros = [constants[node.input[2]] for node in model.graph.node if node.op_type.endswith("QuantizeLinear") or node.op_type == "DequantizeLinear"]
        self.assertTrue(all(zero.dtype == np.int8 and not zero.any() for zero in zeros))
        self.assertEqual(constants["bias"].dtype, np.float32)
        onnxruntime.InferenceSession(str(self.out))

    def test_gates_of_what_is_measured(self):
        dense_model(self.model)
        report(self.model, "--data", self.data, "--gate", "speedup>=0", "--gate", "cosine>=0.9", "-o", self.out, code=0)
        for gate, output in (("accuracy>=0.5", "other.onnx"), ("speedup>=0", "other.h5")):
            done = pare(self.model, "--data", self.data, "--gate", gate, "-o", self.folder / output, code=2)
            self.assertIn("cannot be measured", done.stderr)
            self.assertFalse((self.folder / output).exists())

    def test_an_output_without_batch_is_refused_before_the_work(self):
        dense_model(self.model)
        model = onnx.load(self.model)
        model.graph.output.append(helper.make_tensor_value_info("second", TensorProto.FLOAT, [32, 64]))
        onnx.save(model, self.model)
        self.out.write_text("precious")
        done = pare(self.model, "--data", self.data, "-o", self.out, "--force", code=3)
        self.assertIn("no batch dimension", done.stderr)
        self.assertEqual(self.out.read_text(), "precious")

    def test_classes_of_samples_whose_outputs_are_none(self):
        """Labels that the outputs are no scores of: the cosine is reported."""
        maps_model(self.model, 8, 8)
        np.savez(self.data, x=np.random.default_rng(6).standard_normal((20, 1, 8, 8)).astype(np.float32), y=np.arange(20) % 4)
        done = report(self.model, "--data", self.data, "--labels", "y", "-o", self.out, code=5)
        self.assertGreater(done["metrics"]["cosine"], 0.99)
        self.assertNotIn("accuracy", done["metrics"])

    def test_low_bits_are_clipped(self):
        dense_model(self.model)
        done = report(self.model, "--data", self.data, "--weights", "int4", "--activations", "int4", "-o", self.out)
        self.assertGreater(done["metrics"]["cosine"], 0.9)
        self.assertEqual(len(done["layers"]), 2)
        ops = [node.op_type for node in onnx.load(self.out).graph.node]
        self.assertGreater(ops.count("Clip"), 0)
        self.assertEqual(ops.count("Clip"), ops.count("QuantizeLinear"))

    def test_bytes_do_not_depend_on_the_threads(self):
        dense_model(self.model)
        other = self.folder / "other.onnx"
        report(self.model, "--data", self.data, "--batch", 7, "-o", self.out)
        report(self.model, "--data", self.data, "--batch", 7, "--threads", 3, "-o", other)
        self.assertEqual(self.out.read_bytes(), other.read_bytes())

    def test_memory_does_not_grow_with_the_samples(self):
        """400 samples have 105 MB of outputs."""
        maps_model(self.model, 16, 64)
        np.savez(self.data, x=np.random.default_rng(6).standard_normal((400, 1, 64, 64)).astype(np.float32))
        # The file itself is mapped: 6.5 MB.
        few, many = (report(self.model, "--data", self.data, "--limit", count, "--batch", 4, "--threads", 1, "-o", self.out, "--force",
                            code=5)["cost"]["peak_rss"] for count in (8, 400))
        self.assertLess(many - few, 30e6)

    def test_quantized_models_are_not_quantized_again(self):
        dense_model(self.model)
        report(self.model, "--data", self.data, "-o", self.out)
        done = pare(self.out, "--data", self.data, "-o", self.folder / "again.onnx", code=3)
        self.assertIn("is quantized already", done.stderr)
        self.assertFalse((self.folder / "again.onnx").exists())

    def test_excluded_layers_stay_float_and_are_named(self):
        dense_model(self.model)
        done = report(self.model, "--data", self.data, "--exclude", "last", "-o", self.out)
        self.assertEqual([row["name"] for row in done["layers"]], ["first_matmul"])
        self.assertIn("Gemm node 'last' stays float", done["warnings"])

    def test_a_value_with_outliers_stays_float_and_is_named(self):
        samples = models.outliers(self.model)
        done = report(self.model, "--data", self.data, "-o", self.out)
        self.assertEqual([row["name"] for row in done["result"]["float_values"]], ["wide"])
        self.assertGreater(done["metrics"]["cosine"], 0.999)
        before, after = plain(self.model, {"x": samples}), plain(self.out, {"x": samples})
        self.assertGreater((before * after).sum() / np.sqrt((before ** 2).sum() * (after ** 2).sum()), 0.999)

    def test_max_drop_leaves_the_most_sensitive_layers_float(self):
        dense_model(self.model)
        rough = ["--data", self.data, "--weights", "int2", "--rounding", "nearest", "-o", self.out, "--force"]
        free = report(self.model, *rough)
        bound = (1 - free["metrics"]["cosine"]) / 2
        done = report(self.model, *rough, "--max-drop", bound)
        self.assertLessEqual(1 - done["metrics"]["cosine"], bound)
        self.assertLess(len(done["layers"]), len(free["layers"]))
        self.assertLessEqual(len(done["history"]), 8)
        missed = report(self.model, *rough, "--max-drop", 0, code=5)
        self.assertTrue(self.out.exists())
        self.assertEqual(missed["verdict"], "goal-missed")
        self.assertIn("give --data", pare(self.model, "--max-drop", 0.1, "-o", self.out, "--force", code=2).stderr)

    def test_max_drop_chooses_without_the_test_images(self):
        model = models.convolutional(self.folder / "cnn.onnx", size=8)
        data = pathlib.Path(models.idx_folder(self.folder / "data", count=64, size=8))
        command = [model, "--data", data, "--weights", "int2", "--max-drop", 0.05, "-o", self.out, "--force"]
        done = subprocess.run([PARE, "quantize", *map(str, command), "--report", "-"], capture_output=True, text=True, timeout=120)
        first, written = json.loads(done.stdout), self.out.read_bytes()
        self.assertTrue(first["history"])
        images = data / "t10k-images-idx3-ubyte"
        images.write_bytes(images.read_bytes()[:16] + bytes(64 * 64))
        again = subprocess.run([PARE, "quantize", *map(str, command), "--report", "-"], capture_output=True, text=True, timeout=120)
        second = json.loads(again.stdout)
        self.assertEqual(second["history"], first["history"])
        self.assertEqual(self.out.read_bytes(), written)
        self.assertNotEqual(second["metrics"]["cosine"], first["metrics"]["cosine"])

    def test_dry_run_runs_nothing(self):
        dense_model(self.model)
        plan = report(self.model, "--data", self.data, "--dry-run", "-o", self.out)["plan"]
        self.assertEqual((plan["weights"], plan["samples"]), (40 * 64 + 32 * 64, 200))
        self.assertFalse(self.out.exists())

    def test_bad_input(self):
        samples = dense_model(self.model)
        for arguments, message in ((["--activations", "uint8"], "needs samples"),
                                   (["--data", self.data, "--granularity", "block:32"], "no runtime multiplies blocks"),
                                   (["--data", self.data, "--profile", "tensorrt", "--activations", "uint8"], "TensorRT takes int8"),
                                   (["--data", self.data, "--activations", "int8"], "--profile tensorrt"),
                                   (["--data", self.data, "--calibration", "best"], "minmax, percentile:P, entropy or mse"),
                                   (["--data", self.data, "--activations", "none"], "needs no samples")):
            self.assertIn(message, pare(self.model, *arguments, "-o", self.out, code=2).stderr)
        samples[17, 3] = np.nan
        np.savez(self.data, x=samples)
        done = pare(self.model, "--data", self.data, "-o", self.out, code=3)
        self.assertIn("value 'x'", done.stderr)
        self.assertIn("NaN or infinite", done.stderr)
        self.assertFalse(self.out.exists())

    def test_a_budget_of_bits_goes_to_the_weights_that_the_outputs_need(self):
        random = np.random.default_rng(6)
        weights = {name: random.standard_normal((64, 64)).astype(np.float32) for name in ("loud", "quiet")}
        nodes = [helper.make_node("MatMul", ["x", "loud"], ["a"], name="first"), helper.make_node("MatMul", ["x", "quiet"], ["b"], name="second"),
                 helper.make_node("Mul", ["b", "little"], ["c"]), helper.make_node("Add", ["a", "c"], ["y"])]
        value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 64])  # noqa: E731
        graph = helper.make_graph(nodes, "two", [value("x")], [value("y")], [numpy_helper.from_array(w, n) for n, w in
                                  {**weights, "little": np.float32(1e-3)}.items()])
        model, data, report = self.folder / "two.onnx", self.folder / "x.npz", self.folder / "report.json"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), model)
        np.savez(data, x=random.standard_normal((32, 64)).astype(np.float32))
        chosen = []
        for samples in ([], ["--data", data, "--device", "cpu"]):
            pare(model, "--bits-budget", "5.9bpw", "--granularity", "channel", *samples, "-o", self.folder / "two.h5", "--force", "--report", report)
            chosen.append({row["name"]: row["bits"] for row in json.loads(report.read_text())["layers"]})
        self.assertEqual(chosen, [{"first": 4, "second": 4}, {"first": 8, "second": 2}])

    def test_constant_activations_and_channels_of_zeros(self):
        dense_model(self.model)
        model = onnx.load(self.model)
        for tensor in model.graph.initializer:
            if tensor.name == "first":
                values = numpy_helper.to_array(tensor).copy()
                values[:, :5] = 0
                tensor.CopyFrom(numpy_helper.from_array(values, "first"))
        onnx.save(model, self.model)
        np.savez(self.data, x=np.full((8, 40), 0.25, np.float32))
        self.assertGreater(report(self.model, "--data", self.data, "-o", self.out)["metrics"]["cosine"], 0.999)

    def test_a_bias_from_batch_normalization_is_named_after_its_weight_and_node(self):
        """The bundled teacher: its convolutions have no bias of their own."""
        out = self.folder / "teacher.onnx"
        pare(MODEL.with_name("fashion-resnet.onnx"), "--data", DATA, "--limit", 8, "--calibration", "minmax", "--rounding", "nearest", "-o", out)
        graph = onnx.load(out).graph
        written = {node.output[0]: node for node in graph.node}
        biases = {}
        for node in graph.node:
            if node.op_type != "Conv":
                continue
            weight, bias = (written[node.input[i]].input[0].removesuffix("_codes") for i in (1, 2))
            biases[bias] = weight + node.name + "_bias"
        self.assertGreater(len(biases), 10)
        self.assertEqual(list(biases), list(biases.values()))


if __name__ == "__main__":
    unittest.main()
