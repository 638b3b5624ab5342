"""pare qat end to end: numpy decodes the codes, ONNX Runtime runs what was written."""
import json
import os
import pathlib
import subprocess
import tempfile
import time
import unittest

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

import models

PARE = os.environ["PARE"]
TRAINING = ["--steps", "6", "--batch", "16", "--device", "cpu", "-q"]


def pare(*arguments, code=0):
    done = subprocess.run([PARE, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    if done.returncode != code:
        raise AssertionError(f"exit {done.returncode}, expected {code}: {arguments}\n{done.stdout}{done.stderr}")
    return done


def constants(path):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


class Qat(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        self.model = models.convolutional(self.folder / "model.onnx")
        self.data = models.idx_folder(self.folder / "data", count=64)

    def qat(self, model, out, *more, code=0):
        report = self.folder / "report.json"
        rate = [] if "--lr" in more else ["--lr", "1e-3"]
        pare("qat", model, "--data", self.data, *TRAINING, *rate, "-o", out, "--report", report, "--force", *more, code=code)
        return json.loads(report.read_text())

    def test_a_value_with_outliers_stays_float_with_eight_bits(self):
        model, out = self.folder / "wide.onnx", self.folder / "small.onnx"
        models.outliers(model)
        for activations, floats in (("uint8", ["wide"]), ("int4", [])):
            pare("qat", model, "--data", model.with_suffix(".npz"), "--activations", activations, *TRAINING, "--lr", "1e-6", "-o", out,
                 "--report", self.folder / "report.json", "--force")
            report = json.loads((self.folder / "report.json").read_text())
            self.assertEqual([row["name"] for row in report["result"]["float_values"]], floats)
            quantized = [node.input[0] for node in onnx.load(out).graph.node if node.op_type == "QuantizeLinear"]
            self.assertEqual("wide" in quantized, not floats)

    def test_the_written_file_is_what_onnx_runtime_computes(self):
        for weights, activations in (("int8", "uint8"), ("int4", "int4"), ("int2", "int2")):
            out = self.folder / "small.onnx"
            report = self.qat(self.model, out, "--weights", weights, "--activations", activations)
            self.assertEqual([layer["bits"] for layer in report["layers"]], [8, 8])  # first and last layer
            outputs = self.folder / "outputs.npz"
            pare("evaluate", out, "--data", self.data, "--runtime", "pare", "--split", "test", "--save-outputs", outputs, "--device", "cpu", "--force")
            options = onnxruntime.SessionOptions()
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            session = onnxruntime.InferenceSession(str(out), options)
            raw = (pathlib.Path(self.data) / "t10k-images-idx3-ubyte").read_bytes()[16:]
            images = np.frombuffer(raw, np.uint8).reshape(-1, 1, 28, 28).astype(np.float32) / 255
            expected = session.run(None, {"x": images})[0]
            np.testing.assert_allclose(np.load(outputs)["y"], expected, rtol=1e-3, atol=2e-2)
            onnx.checker.check_model(str(out), full_check=True)

    def test_codes_stay_within_their_bits(self):
        out = self.folder / "small.onnx"
        report = self.qat(self.model, out, "--weights", "int3", "--activations", "int4", "--outer-bits", "0", "--bits", "fc=2")
        self.assertEqual([layer["bits"] for layer in report["layers"]], [3, 2])
        stored = constants(out)
        self.assertLessEqual(stored["filters"].max(), 3)
        self.assertGreaterEqual(stored["filters"].min(), -4)
        self.assertLessEqual(set(np.unique(stored["dense"])), {-2, -1, 0, 1})
        self.assertIn("Clip", [node.op_type for node in onnx.load(out).graph.node])
        self.qat(self.model, out, "--weights", "int4", "--outer-bits", "0", "--opset", "21")
        types = {tensor.name: tensor.data_type for tensor in onnx.load(out).graph.initializer}
        self.assertEqual(types["filters"], onnx.TensorProto.INT4)

    def test_bits_of_an_outer_layer_are_its_own(self):
        report = self.qat(self.model, self.folder / "small.onnx", "--weights", "int4", "--bits", "fc=2")
        self.assertEqual([layer["bits"] for layer in report["layers"]], [8, 2])

    def test_fewer_bits_than_a_quantized_file_has(self):
        pruned, four, two = (self.folder / f"{name}.onnx" for name in ("pruned", "four", "two"))
        pare("prune", self.model, "--sparsity", "0.7", "--data", self.data, *TRAINING, "-o", pruned)
        zeros = {name: value == 0 for name, value in constants(pruned).items() if value.ndim > 1}
        self.qat(pruned, four, "--weights", "int4", "--activations", "int4", "--outer-bits", "0")
        report = self.qat(four, two, "--weights", "int2", "--outer-bits", "0")
        self.assertEqual([layer["bits"] for layer in report["layers"]], [2, 2])
        self.assertEqual((report["settings"]["weights"], report["settings"]["activations"]), ("int2", "int4"))
        stored = constants(two)
        for name, zero in zeros.items():
            self.assertLessEqual(set(np.unique(stored[name])), {-2, -1, 0, 1})
            self.assertTrue((stored[name][zero] == 0).all(), name)
        clips = [node.input[1:] for node in onnx.load(two).graph.node if node.op_type == "Clip"]
        self.assertTrue(clips)
        for low, high in clips:
            self.assertEqual(stored[high] - stored[low], 15)
        # The same bits as in the file keep its codes; those that are not asked for stay.
        for same in (["--weights", "int2"], []):
            report = self.qat(two, self.folder / "again.onnx", "--lr", "1e-30", "--teacher", "none", *same)
            self.assertEqual(report["settings"]["activations"], "int4")
            for name in zeros:
                np.testing.assert_array_equal(constants(self.folder / "again.onnx")[name], stored[name])
        self.qat(two, self.folder / "float.onnx", "--activations", "none", "--outer-bits", "0")
        self.assertNotIn("QuantizeLinear", [node.op_type for node in onnx.load(self.folder / "float.onnx").graph.node])

    def test_a_file_whose_activations_alone_are_quantized_keeps_them(self):
        small, out = self.folder / "small.onnx", self.folder / "again.onnx"
        self.qat(self.model, small, "--activations", "int4", "--outer-bits", "0")
        model = onnx.load(small)
        codes = {tensor.name for tensor in model.graph.initializer}
        for node in list(model.graph.node):  # weights in float
            if node.op_type == "DequantizeLinear" and node.input[0] in ("filters", "dense"):
                code, step = constants(small)[node.input[0]], constants(small)[node.input[1]]
                shape = [-1 if k == next((a.i for a in node.attribute if a.name == "axis"), 1) else 1 for k in range(code.ndim)]
                model.graph.node.remove(node)
                model.graph.initializer.append(numpy_helper.from_array((code * step.reshape(shape)).astype(np.float32), node.output[0]))
        self.assertLess({"filters", "dense"}, codes)
        onnx.save(model, small)
        report = self.qat(small, out, "--lr", "1e-30", "--teacher", "none")
        self.assertEqual(report["settings"]["activations"], "int4")
        clips = [node for node in onnx.load(out).graph.node if node.op_type == "Clip"]
        self.assertEqual(len(clips), len([node for node in model.graph.node if node.op_type == "Clip"]))
        self.assertTrue(clips)

    def test_weights_of_zeros_and_nearly(self):
        for factor in (0, 1e-38):
            model = onnx.load(self.model)
            for tensor in model.graph.initializer:
                if tensor.name == "filters":
                    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(factor), "filters"))
            model.graph.initializer.append(numpy_helper.from_array(np.float32([0.1, -0.2, 0.3, 0.4]), "bias"))
            model.graph.node[0].input.append("bias")
            onnx.save(model, self.folder / "zeros.onnx")
            out = self.folder / "small.onnx"
            self.qat(self.folder / "zeros.onnx", out)
            report = self.folder / "evaluated.json"
            pare("evaluate", out, "--data", self.data, "--split", "test", "--runtime", "both", "--report", report, "-q")
            self.assertGreater(json.loads(report.read_text())["metrics"]["runtime_snr_db"], 20)

    def test_prune_then_qat_then_qat_again_through_both_formats(self):
        pruned = self.folder / "pruned.onnx"
        pare("prune", self.model, "--sparsity", "0.7", "--data", self.data, *TRAINING, "-o", pruned)
        zeros = {name: value == 0 for name, value in constants(pruned).items() if value.ndim > 1}
        first, packed = self.folder / "first.onnx", self.folder / "first.h5"
        report = self.qat(pruned, first, "-o", packed, "--weights", "int4", "--activations", "int4", "--outer-bits", "0")
        accuracy = report["metrics"]["accuracy"]
        for file in (first, packed):
            pare("evaluate", file, "--data", self.data, "--split", "test", "--device", "cpu", "--gate", f"accuracy>={accuracy}",
                 "--gate", f"accuracy<={accuracy}")
            again = self.folder / "again.onnx"
            # Nothing moves at this rate: codes and scales come back as they were.
            self.qat(file, again, "--lr", "1e-30", "--teacher", "none")
            before, after = constants(first), constants(again)
            for name, zero in zeros.items():
                self.assertTrue((before[name][zero] == 0).all(), name)
                np.testing.assert_array_equal(after[name], before[name])
                np.testing.assert_array_equal(after[name + "/step"], before[name + "/step"])
            self.qat(file, again, "--lr", "1e-2")
            for name, zero in zeros.items():
                self.assertTrue((constants(again)[name][zero] == 0).all(), name)

    def test_the_same_bytes_again_and_after_a_stop(self):
        whole, again, stopped = (self.folder / name for name in ("whole.onnx", "again.onnx", "stopped.onnx"))
        options = ["--weights", "int4", "--activations", "int4", "--threads", 1, "--checkpoint-every", 1, "--steps", 60]
        command = ["qat", self.model, "--data", self.data, "--batch", 16, "--lr", "1e-3", "--device", "cpu", "-q", *options]
        for out in (whole, again):
            pare(*command, "-o", out)
        self.assertEqual(whole.read_bytes(), again.read_bytes())
        run = subprocess.Popen([PARE, *map(str, command), "-o", str(stopped)])
        checkpoint = self.folder / "stopped.onnx.run" / "checkpoint.h5"
        while run.poll() is None and not checkpoint.exists():
            time.sleep(0.01)
        run.terminate()
        self.assertEqual(run.wait(60), 75)
        pare(*command, "-o", stopped)
        self.assertEqual(whole.read_bytes(), stopped.read_bytes())

    def test_without_labels_the_teacher_is_the_measure(self):
        samples = self.folder / "samples.npz"
        np.savez(samples, x=np.random.default_rng(2).random((32, 1, 28, 28), dtype=np.float32))
        out, report = self.folder / "small.onnx", self.folder / "report.json"
        command = ["qat", self.model, "--data", samples, "--steps", 4, "--batch", 8, "--device", "cpu", "-q", "-o", out]
        refused = pare(*command, "--gate", "accuracy>=0", code=2)
        self.assertIn("has no class labels", refused.stderr)
        self.assertFalse(out.exists())
        pare(*command, "--gate", "cosine>=0.9", "--report", report)
        metrics = json.loads(report.read_text())["metrics"]
        self.assertNotIn("accuracy", metrics)
        self.assertGreater(metrics["cosine"], 0.9)

    def test_every_quantizer_and_bad_values(self):
        out = self.folder / "small.onnx"
        for quantizer in ("lsq", "minmax", "pact"):
            self.qat(self.model, out, "--quantizer", quantizer, "--weights", "int4", "--activations", "int4")
        self.qat(self.model, out, "--activations", "none")
        self.assertNotIn("QuantizeLinear", [node.op_type for node in onnx.load(out).graph.node])
        for bad in (["--weights", "int5"], ["--activations", "int9"], ["--quantizer", "x"], ["--bits", "conv1"], ["--bits", "a=9"], ["--bits", "nothing=4"], ["--gate", "cosine>=0"],
                    ["--opset", "13"], ["--outer-bits", "9"], ["--calibration", "best"], ["--ema", "0.9"]):
            pare("qat", self.model, "--data", self.data, "-o", self.folder / "new.onnx", *bad, code=2)
        self.assertFalse((self.folder / "new.onnx").exists())


if __name__ == "__main__":
    unittest.main()
