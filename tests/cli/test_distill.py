"""Distillation from the command line: features that are made alike, and batch statistics measured anew; checked with numpy and ONNX Runtime."""
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


def blocks(path, width, seed):
    """x [N,1,8,8] -> Conv(width) -> BatchNormalization -> Relu ('features') -> GlobalAveragePool -> Flatten -> Gemm(10)."""
    random = np.random.default_rng(seed)

    def weight(name, *shape):
        return numpy_helper.from_array(random.standard_normal(shape).astype(np.float32), name)

    nodes = [helper.make_node("Conv", ["x", "filters"], ["convolved"], name="conv", pads=[1, 1, 1, 1]),
             helper.make_node("BatchNormalization", ["convolved", "scale", "shift", "mean", "variance"], ["normal"], name="bn"),
             helper.make_node("Relu", ["normal"], ["features"], name="relu"),
             helper.make_node("GlobalAveragePool", ["features"], ["pooled"], name="pool"),
             helper.make_node("Flatten", ["pooled"], ["flat"], name="flatten"),
             helper.make_node("Gemm", ["flat", "dense"], ["y"], name="fc", transB=1)]
    constants = [weight("filters", width, 1, 3, 3), weight("dense", 10, width), weight("scale", width), weight("shift", width),
                 numpy_helper.from_array(np.full(width, 5, np.float32), "mean"), numpy_helper.from_array(np.full(width, 9, np.float32), "variance")]
    graph = helper.make_graph(nodes, "blocks", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 8, 8])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 10])], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return str(path)


def value_of(path, name, data):
    """A value in the middle of a model, by ONNX Runtime."""
    model = onnx.load(path)
    model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run([name], {"x": data})[0]


class Distill(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        self.images = np.random.default_rng(3).standard_normal((64, 1, 8, 8)).astype(np.float32)
        np.savez(self.folder / "data.npz", x=self.images)
        self.student = blocks(self.folder / "student.onnx", 4, 0)
        self.teacher = blocks(self.folder / "teacher.onnx", 6, 1)

    def distill(self, out, *more, teacher=None):
        command = [PARE, "distill", self.student, "--teacher", teacher or self.teacher, "--init", "keep", "--data", self.folder / "data.npz",
                   "--device", "cpu", "--threads", "1", "--batch", "16", "--seed", "2", "-o", self.folder / out, "-q",
                   "--report", self.folder / "report.json", *more]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads((self.folder / "report.json").read_text())

    def test_each_feature_loss_falls_and_leaves_no_adapter_behind(self):
        for kind in ("fitnet", "attention", "similarity", "relational"):
            with self.subTest(kind):
                report = self.distill(f"{kind}.onnx", "--features", "features:features", "--feature-loss", kind, "--feature-weight", "10",
                                      "--epochs", "30", "--lr", "0.01")
                losses = [row["loss"] for row in report["history"]]
                self.assertLess(losses[-1], 0.8 * losses[0])
                written, given = (onnx.load(path).graph for path in (self.folder / f"{kind}.onnx", self.student))
                self.assertEqual([node.op_type for node in written.node], [node.op_type for node in given.node])
                self.assertEqual({tensor.name: list(tensor.dims) for tensor in written.initializer},
                                 {tensor.name: list(tensor.dims) for tensor in given.initializer})

    def test_attention_maps_come_nearer_to_the_teachers(self):
        """Zagoruyko & Komodakis 2017: the mean over channels of the squares, as a unit vector."""
        def attention(path):
            maps = (value_of(path, "features", self.images) ** 2).mean(1).reshape(64, -1)
            return maps / np.linalg.norm(maps, axis=1, keepdims=True)

        def distance(path):
            return ((attention(path) - attention(self.teacher)) ** 2).sum(1).mean()

        self.distill("near.onnx", "--features", "features:features", "--feature-loss", "attention", "--feature-weight", "100", "--epochs", "60",
                     "--lr", "0.02", "--batch-norm", "reestimate")
        self.assertLess(distance(str(self.folder / "near.onnx")), 0.5 * distance(self.student))

    def test_reestimated_statistics_are_those_of_the_final_weights(self):
        out = str(self.folder / "out.onnx")
        self.distill("out.onnx", "--batch-norm", "reestimate", "--epochs", "3", "--lr", "0.05", "--ema", "0.9")
        constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(out).graph.initializer}
        convolved = value_of(out, "convolved", self.images)
        np.testing.assert_allclose(constants["mean"], convolved.mean((0, 2, 3)), atol=1e-4)
        # A mean over four batches of variances inside of a batch: a little less than the variance of everything.
        np.testing.assert_allclose(constants["variance"], convolved.var((0, 2, 3)), rtol=0.03)
        self.distill("trained.onnx", "--batch-norm", "train", "--epochs", "3", "--lr", "0.05", "--ema", "0.9")
        moving = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(self.folder / "trained.onnx").graph.initializer}
        self.assertGreater(np.abs(moving["mean"] - convolved.mean((0, 2, 3))).max(), 0.01)
        np.testing.assert_array_equal(moving["filters"], constants["filters"])

    def test_without_batch_normalization_reestimate_warns(self):
        model = models.convolutional(self.folder / "plain.onnx", size=8)
        self.student = model
        report = self.distill("plain_out.onnx", "--batch-norm", "reestimate", "--steps", "1", teacher=model)
        self.assertTrue(any("no BatchNormalization" in warning for warning in report["warnings"]), report["warnings"])

    def test_zeros_of_earlier_pruning_stay_zero(self):
        self.student = blocks(self.folder / "wide.onnx", 12, 4)
        masked = self.folder / "masked.onnx"
        subprocess.run([PARE, "prune", self.student, "--sparsity", "0.5", "--importance", "magnitude", "--mask-only", "-o", masked, "-q"], check=True)
        zero = {tensor.name: numpy_helper.to_array(tensor) == 0 for tensor in onnx.load(masked).graph.initializer if tensor.name in ("filters", "dense")}
        self.student = str(masked)
        for init in ("keep", "kaiming"):
            out = self.folder / f"{init}.onnx"
            subprocess.run([PARE, "distill", masked, "--teacher", self.teacher, "--init", init, "--data", self.folder / "data.npz", "--steps", "4",
                            "--batch", "16", "--device", "cpu", "-q", "-o", out], check=True)
            trained = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(out).graph.initializer}
            for name, zeros in zero.items():
                self.assertTrue((trained[name][zeros] == 0).all(), (init, name))
                self.assertTrue((trained[name][~zeros] != 0).all(), (init, name))

    def refused(self, code, *command):
        done = subprocess.run([PARE, *map(str, command), "--device", "cpu", "-q"], capture_output=True, text=True)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr.splitlines()[-1]

    def test_the_report_has_what_the_defaults_came_to(self):
        pruned, report = self.folder / "pruned.onnx", self.folder / "report.json"
        subprocess.run([PARE, "prune", self.student, "--data", self.folder / "data.npz", "--sparsity", "0.5", "--steps", "2", "--batch", "16", "--device", "cpu",
                        "-q", "-o", pruned, "--report", report], check=True)
        settings = json.loads(report.read_text())["settings"]
        self.assertEqual({key: settings[key] for key in ("teacher", "task", "scope", "schedule", "run-dir")},
                         {"teacher": ["original"], "task": "none", "scope": "global", "schedule": "cubic", "run-dir": f"{pruned}.run"})

    def test_a_quantized_student_is_refused(self):
        data, small, out = self.folder / "data.npz", self.folder / "int8.onnx", self.folder / "out.onnx"
        subprocess.run([PARE, "quantize", self.student, "--data", data, "-o", small, "-q"])  # so small a model does not become smaller
        said = self.refused(3, "distill", small, "--init", "keep", "--teacher", self.teacher, "--data", data, "--steps", 2, "-o", out)
        self.assertIn("pare qat", said)
        self.assertFalse(out.exists())

    def test_an_output_that_the_student_has_not_is_named(self):
        said = self.refused(2, "distill", self.student, "--teacher", self.teacher, "--match", "nothing:y", "--data", self.folder / "data.npz", "--steps", 2,
                            "-o", self.folder / "out.onnx")
        self.assertIn("'nothing'", said)

    def test_samples_of_nan_alone_train_nothing(self):
        np.savez(self.folder / "nan.npz", x=np.full((32, 1, 8, 8), np.nan, np.float32))
        out = self.folder / "out.onnx"
        self.refused(1, "distill", self.student, "--teacher", self.teacher, "--data", self.folder / "nan.npz", "--steps", 3, "-o", out)
        self.assertFalse(out.exists())

    def test_a_result_that_cannot_be_written_is_not_trained_again(self):
        out, folder = self.folder / "out.onnx", self.folder / "run"
        command = [PARE, "distill", self.student, "--teacher", self.teacher, "--init", "keep", "--data", self.folder / "data.npz", "--steps", "6",
                   "--batch", "16", "--threads", "1", "--device", "cpu", "--run-dir", folder]
        self.assertEqual(subprocess.run([*command, "-o", "/proc/out.onnx"], capture_output=True).returncode, 1)
        again = subprocess.run([*command, "-o", out], capture_output=True, text=True)
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertIn("resuming after step 6 of 6", again.stderr)
        subprocess.run([*command[:-1], self.folder / "other", "-o", self.folder / "whole.onnx", "-q"], check=True)
        self.assertEqual(out.read_bytes(), (self.folder / "whole.onnx").read_bytes())

    def test_no_room_for_the_last_checkpoint_is_no_reason_against_the_result(self):
        out, folder = self.folder / "out.onnx", self.folder / "run"
        (folder / "checkpoint.h5" / "in the way").mkdir(parents=True)
        done = subprocess.run([PARE, "distill", self.student, "--teacher", self.teacher, "--init", "keep", "--data", self.folder / "data.npz", "--steps", "3",
                               "--batch", "16", "--device", "cpu", "--run-dir", folder, "--no-resume", "-o", out], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("the last checkpoint was not written", done.stderr)
        onnx.checker.check_model(str(out))


if __name__ == "__main__":
    unittest.main()
