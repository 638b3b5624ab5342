"""`pare prune` of single weights and patterns: checked with onnx and numpy on the written files; masks survive later commands."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import h5py
import models
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

PARE = os.environ["PARE"]


def weights(path):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


def save(path, nodes, initializers, inputs, outputs):
    value = lambda pair: helper.make_tensor_value_info(pair[0], TensorProto.FLOAT, pair[1])  # noqa: E731
    graph = helper.make_graph(nodes, "g", [value(pair) for pair in inputs], [value(pair) for pair in outputs],
                              [numpy_helper.from_array(array, name) for name, array in initializers.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return str(path)


class Prune(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        self.model = models.convolutional(self.folder / "model.onnx", size=8)
        self.data = models.idx_folder(self.folder / "data", count=96, size=8)

    def prune(self, *arguments, code=0, command="prune"):
        line = [PARE, command, *map(str, arguments), "--device", "cpu", "--threads", "1", "-q"]
        done = subprocess.run(line, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr

    def report(self):
        return json.loads((self.folder / "report.json").read_text())

    def test_without_data_magnitude_masks_the_smallest_weights_of_all_layers(self):
        out = self.folder / "out.onnx"
        self.prune(self.model, "--sparsity", "0.8", "--importance", "magnitude", "--mask-only", "-o", out, "-o", self.folder / "out.h5",
                   "--report", self.folder / "report.json")
        before, after = weights(self.model), weights(out)
        size = np.abs(np.concatenate([before[name].ravel() for name in ("filters", "dense")]))
        cut = np.sort(size)[int(np.ceil(0.8 * size.size))]
        for name in ("filters", "dense"):
            np.testing.assert_array_equal(after[name], np.where(np.abs(before[name]) >= cut, before[name], 0))
        report = self.report()
        self.assertNotIn("metrics", report)
        result = report["result"]
        self.assertEqual(result["dense_bytes"], 4 * size.size)
        with h5py.File(self.folder / "out.h5") as file:
            self.assertLessEqual(abs(result["sparse_bytes"] - file["tensors/data"].size), 64)
            self.assertEqual(json.loads(file["masks"][()]), ["filters", "dense"])
        self.assertLess(result["sparse_bytes"], 0.3 * result["dense_bytes"])
        self.assertIn("not dense runtimes faster", result["note"])
        self.assertEqual({row["name"] for row in report["layers"]}, {"conv1", "fc"})

    def test_two_of_four_along_the_reduction_of_every_orientation(self):
        random = np.random.default_rng(3)
        arrays = {"conv": random.standard_normal((6, 4, 3, 3)), "right": random.standard_normal((8, 5)), "gemm": random.standard_normal((7, 20))}
        arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
        model = save(self.folder / "m.onnx",
                     [helper.make_node("Conv", ["x", "conv"], ["a"]), helper.make_node("MatMul", ["a", "right"], ["b"]),
                      helper.make_node("Flatten", ["b"], ["c"], axis=3), helper.make_node("Gemm", ["c", "other"], ["d"]),
                      helper.make_node("Gemm", ["d", "gemm"], ["y"], transB=1)],
                     {**arrays, "other": random.standard_normal((5, 20)).astype(np.float32)},
                     [("x", [1, 4, 10, 10])], [("y", ["n", 7])])
        out, h5 = self.folder / "out.onnx", self.folder / "out.h5"
        stderr = self.prune(model, "--structure", "2:4", "--importance", "magnitude", "--mask-only", "-o", out, "-o", h5)
        self.assertIn("weight 'other': its sums of 5 do not divide by 4", stderr)
        after = weights(out)
        groups = {"conv": after["conv"].reshape(-1, 4), "gemm": after["gemm"].reshape(-1, 4), "right": after["right"].T.reshape(-1, 4)}
        for name, group in groups.items():
            np.testing.assert_array_equal((group != 0).sum(1), 2, name)
        kept = (after["other"][:4] != 0).sum(0)
        np.testing.assert_array_equal(kept, 2)
        np.testing.assert_array_equal(after["other"][4] != 0, True)  # the group of one keeps at most two

    def test_gradients_and_activations_score_without_training(self):
        for importance in ("taylor", "fisher", "snip", "movement", "wanda", "sparsegpt"):
            with self.subTest(importance):
                out = self.folder / f"{importance}.onnx"
                self.prune(self.model, "--sparsity", "0.75", "--importance", importance, "--epochs", "0", "--data", self.data, "-o", out,
                           "--report", self.folder / "report.json")
                after = weights(out)
                zeros = sum((after[name] == 0).sum() for name in ("filters", "dense"))
                self.assertGreaterEqual(zeros, 0.75 * sum(after[name].size for name in ("filters", "dense")))
                self.assertIn("accuracy_drop", self.report()["metrics"])
                changed = (after["dense"] != 0) & (after["dense"] != weights(self.model)["dense"])
                self.assertEqual(changed.any(), importance == "sparsegpt")

    def test_zeros_stay_zero_in_every_later_command(self):
        first, second, third = (self.folder / name for name in ("first.h5", "second.onnx", "third.onnx"))
        train = ["--data", self.data, "--steps", "30", "--batch", "16", "--lr", "0.05"]
        self.prune(self.model, "--sparsity", "0.5", "--importance", "magnitude", "--mask-only", "-o", first, "-o", self.folder / "first.onnx")
        before = weights(self.folder / "first.onnx")
        self.prune(first, "--sparsity", "0.7", *train, "-o", second)
        self.prune(second, "--structure", "2:4", "--importance", "magnitude", *train, "-o", third)
        for path in (second, third):
            after = weights(path)
            for name in ("filters", "dense"):
                self.assertFalse((after[name][before[name] == 0] != 0).any(), (path, name))
                self.assertFalse(np.array_equal(after[name], before[name]))
            before = after
        self.assertFalse(((before["dense"].reshape(-1, 4) != 0).sum(1) > 2).any())

    def test_schedules_and_regrowth_reach_the_sparsity(self):
        train = ["--data", self.data, "--steps", "40", "--batch", "16"]
        for extra in (["--schedule", "iterative:3"], ["--schedule", "linear"], ["--schedule", "exponential"], ["--scope", "erk"],
                      ["--scope", "layer", "--regrow", "0.3"], ["--regrow", "0.3", "--regrow-by", "splice", "--importance", "magnitude"],
                      ["--structure", "block:2x4"], ["--importance", "wanda"], ["--average", "1", "--importance", "snip"]):
            with self.subTest(extra):
                out = self.folder / "out.onnx"
                self.prune(self.model, "--sparsity", "0.6", *train, *extra, "-o", out, "--force", "--report", self.folder / "report.json")
                after = weights(out)
                zeros = sum((after[name] == 0).sum() for name in ("filters", "dense"))
                share = zeros / sum(after[name].size for name in ("filters", "dense"))
                self.assertAlmostEqual(share, 0.6, delta=0.02)
                self.assertAlmostEqual(self.report()["history"][-1]["sparsity"], share, delta=0.02)

    def test_a_stopped_splicing_goes_on_as_if_it_had_not_stopped(self):
        line = ["--sparsity", "0.6", "--data", self.data, "--steps", "36", "--batch", "16", "--regrow", "0.3", "--regrow-by", "splice",
                "--importance", "magnitude", "--prune-steps", "36"]
        whole = self.folder / "whole.onnx"
        self.prune(self.model, *line, "-o", whole)
        parts = self.folder / "parts.onnx"
        command = [PARE, "prune", self.model, *map(str, line), "-o", str(parts), "--device", "cpu", "--threads", "1", "-q", "--checkpoint-every", "5"]
        running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        checkpoint = self.folder / "parts.onnx.run" / "checkpoint.h5"
        while running.poll() is None and not checkpoint.exists():
            pass
        running.kill()
        running.wait()
        if not parts.exists():
            subprocess.run(command, check=True, capture_output=True)
        self.assertEqual(whole.read_bytes(), parts.read_bytes())

    def test_the_plan_runs_nothing(self):
        out = self.folder / "out.onnx"
        self.prune(self.model, "--structure", "1:4", "--importance", "magnitude", "--mask-only", "-o", out, "--dry-run",
                   "--report", self.folder / "report.json")
        plan = self.report()["plan"]
        self.assertEqual((plan["sparsity"], plan["steps"]), (0.75, 0))
        self.assertFalse(out.exists())

    def test_what_cannot_be_is_refused_by_name(self):
        out = ["-o", self.folder / "out.onnx"]
        mask = ["--mask-only", "--importance", "magnitude"]
        for code, arguments, message in (
                (2, [*mask], "--sparsity is missing"),
                (2, ["--sparsity", "0.5", "--structure", "2:4", *mask], "--structure 2:4 says it already"),
                (2, ["--structure", "2:4", "--scope", "erk", *mask], "--scope erk"),
                (2, ["--sparsity", "0.5", "--mask-only"], "--data is missing"),
                (2, ["--sparsity", "0.5"], "--data is missing"),
                (2, ["--sparsity", "0.5", "--regrow", "0.3", *mask], "--regrow: needs training"),
                (2, ["--structure", "2:4", "--regrow", "0.3", "--data", self.data], "--regrow: works with --structure weight"),
                (2, ["--sparsity", "0.5", "--structure", "block:2x2", "--importance", "sparsegpt", "--data", self.data], "sparsegpt: chooses"),
                (2, ["--sparsity", "0.5", "--scope", "global", "--importance", "sparsegpt", "--data", self.data], "sparsegpt: ranks inside"),
                (2, ["--sparsity", "0.1", *mask, "--include", "nothing*"], "'nothing*' matches no weight"),
                (2, ["--sparsity", "0.5", *mask, "--gate", "accuracy>=0.5"], "accuracy")):
            with self.subTest(arguments):
                self.assertIn(message, self.prune(self.model, *arguments, *out, code=code))
                self.assertFalse((self.folder / "out.onnx").exists())

    def test_bad_weights_are_named(self):
        random = np.random.default_rng(4)
        square = random.standard_normal((4, 4)).astype(np.float32)
        nodes = [helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node("Gemm", ["a", "w"], ["y"], transB=1, name="second")]
        bad = square.copy()
        bad[1, 2] = np.nan
        mask = ["--mask-only", "--importance", "magnitude", "-o", self.folder / "out.onnx"]
        shape = [("x", ["n", 4])], [("y", ["n", 4])]
        self.assertIn("weight 'w': holds NaN", self.prune(save(self.folder / "nan.onnx", nodes, {"w": bad}, *shape), "--sparsity", "0.5", *mask, code=3))
        shared = save(self.folder / "shared.onnx", nodes, {"w": square}, *shape)
        self.assertIn("sum over different axes", self.prune(shared, "--structure", "2:4", *mask, code=3))
        self.prune(shared, "--sparsity", "0.5", *mask)
        self.assertEqual((weights(self.folder / "out.onnx")["w"] == 0).sum(), 8)
        output = save(self.folder / "output.onnx", [nodes[0], helper.make_node("MatMul", ["a", "v"], ["y"])], {"w": square, "v": square + 1},
                      shape[0], [*shape[1], ("w", [4, 4])])
        self.assertIn("weight 'w': is an output of the model", self.prune(output, "--sparsity", "0.5", *mask, "--force"))
        np.testing.assert_array_equal(weights(self.folder / "out.onnx")["w"], square)
        zero = save(self.folder / "zero.onnx", nodes, {"w": square * 0}, *shape)
        self.assertIn("all scores of 'w' are zero", self.prune(zero, "--sparsity", "0.5", *mask, "--force", code=1))
        none = save(self.folder / "none.onnx", [helper.make_node("Relu", ["x"], ["y"])], {}, *shape)
        self.assertIn("no float weight of a convolution", self.prune(none, "--sparsity", "0.5", *mask, "--force", code=3))

    def test_a_target_that_is_out_of_reach_writes_the_best_and_exits_with_5(self):
        # One of three weights must stay in each layer: 0.9 of them cannot be zero.
        model = save(self.folder / "m.onnx", [helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": np.ones((3, 1), np.float32)},
                     [("x", ["n", 3])], [("y", ["n", 1])])
        self.prune(model, "--sparsity", "0.9", "--importance", "magnitude", "--mask-only", "-o", self.folder / "out.onnx", code=5)
        self.assertEqual((weights(self.folder / "out.onnx")["w"] == 0).sum(), 2)


if __name__ == "__main__":
    unittest.main()
