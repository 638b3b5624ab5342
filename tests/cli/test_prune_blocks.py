"""pare prune --structure residual on the command line: which blocks go, targets, and what cannot be."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import models
import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

PARE = os.environ["PARE"]
# How large the branches of the network's blocks are: the smaller, the less goes with it.
SCALES = (0.3, 0.02, 0.1, 0.004)


def residual(path, kept=range(len(SCALES)), step=False):
    """Conv, then relu(x + b(relu(a(x)))) for each of SCALES in `kept`, then pooling and Gemm(10); the weights of a block do not depend on the others."""
    random = numpy.random.default_rng(3)
    nodes, weights = [], []

    def conv(name, x, shape, scale):
        weights.append(numpy_helper.from_array((random.standard_normal(shape) * scale).astype(numpy.float32), name))
        nodes.append(helper.make_node("Conv", [x, name], [f"{name}.out"], name=f"{name}.conv", pads=[1, 1, 1, 1]))
        return f"{name}.out"

    def relu(x):
        nodes.append(helper.make_node("Relu", [x], [f"{x}.relu"], name=f"{x}.relu"))
        return f"{x}.relu"

    x = relu(conv("stem", "x", (8, 1, 3, 3), 1))
    for i, scale in enumerate(SCALES):
        before = len(nodes), len(weights)
        y = conv(f"b{i}.b", relu(conv(f"b{i}.a", x, (8, 8, 3, 3), 0.3)), (8, 8, 3, 3), scale)
        if i not in kept:
            # The random numbers are drawn all the same.
            del nodes[before[0]:], weights[before[1]:]
        else:
            nodes.append(helper.make_node("Add", [x, y] if i % 2 else [y, x], [f"b{i}.sum"], name=f"b{i}.add"))
            x = f"b{i}.sum"
        # What follows reads the sum, or what stands in its place.
        nodes.append(helper.make_node("Relu", [x], [f"b{i}.relu"], name=f"b{i}.relu"))
        x = f"b{i}.relu"
    if step:
        nodes.append(helper.make_node("Add", [conv("left", x, (8, 8, 3, 3), 0.3), conv("right", x, (8, 8, 3, 3), 0.3)], ["stepped"], name="step"))
        x = "stepped"
    nodes.append(helper.make_node("GlobalAveragePool", [x], ["pooled"], name="pool"))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"], name="flatten"))
    weights.append(numpy_helper.from_array(numpy.random.default_rng(4).standard_normal((10, 8)).astype(numpy.float32), "dense"))
    nodes.append(helper.make_node("Gemm", ["flat", "dense"], ["y"], name="fc", transB=1))
    graph = helper.make_graph(nodes, "residual", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 28, 28])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 10])], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def run(path, x):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


class PruneBlocks(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        self.model = residual(self.folder / "model.onnx")
        self.out = self.folder / "small.onnx"

    def prune(self, *options, model=None, epochs=0):
        command = [PARE, "prune", model or self.model, "--structure", "residual", "-o", self.out, "--force", "--report",
                   self.folder / "report.json", *options]
        if epochs is not None:
            command += ["--epochs", epochs]
        return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120, check=False)

    def report(self):
        return json.loads((self.folder / "report.json").read_text())

    def removed(self):
        return [row["node"] for row in self.report()["plan"]["blocks"] if row["removed"]]

    def refused(self, done, code, *words):
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertFalse(self.out.exists())

    def test_the_result_is_the_network_without_the_blocks_that_matter_least(self):
        done = self.prune("--sparsity", "0.5")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.removed(), ["b1.add", "b3.add"])
        report = self.report()
        self.assertLessEqual(report["result"]["proof"]["difference"], 1e-9 * report["result"]["proof"]["magnitude"])
        self.assertLess(report["result"]["macs"], 0.6 * report["model"]["macs"])
        onnx.checker.check_model(onnx.load(self.out), full_check=True)
        names = {tensor.name for tensor in onnx.load(self.out).graph.initializer}
        self.assertEqual(names & {"b0.a", "b1.a", "b2.b", "b3.b"}, {"b0.a", "b2.b"})
        x = numpy.random.default_rng(5).standard_normal((3, 1, 28, 28)).astype(numpy.float32)
        expected = run(residual(self.folder / "expected.onnx", kept=(0, 2)), x)
        numpy.testing.assert_allclose(run(self.out, x), expected, rtol=0, atol=1e-5 * float(numpy.abs(expected).max()))

    def test_scores_are_the_relative_change_of_the_outputs(self):
        data = models.idx_folder(self.folder / "data")
        done = self.prune("--sparsity", "0.2", "--data", data, "--dry-run")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertFalse(self.out.exists())
        x = numpy.frombuffer((pathlib.Path(data) / "train-images-idx3-ubyte").read_bytes()[16:], numpy.uint8).reshape(-1, 1, 28, 28).astype(numpy.float32) / 255
        whole = run(self.model, x)
        for i, row in enumerate(self.report()["plan"]["blocks"]):
            without = run(residual(self.folder / "without.onnx", kept=[k for k in range(len(SCALES)) if k != i]), x)
            self.assertAlmostEqual(row["score"] / (numpy.linalg.norm(without - whole) / numpy.linalg.norm(whole)), 1, places=3)

    def test_the_same_command_gives_the_same_bytes(self):
        written = []
        for threads in ("1", "2"):
            self.assertEqual(self.prune("--keep-params", "0.6", "--threads", threads).returncode, 0)
            written.append(self.out.read_bytes())
        self.assertEqual(*written)

    def test_targets(self):
        for option, key in (("--keep-macs", "macs"), ("--keep-params", "parameters")):
            self.assertEqual(self.prune(option, "0.6").returncode, 0)
            report = self.report()
            self.assertLessEqual(report["result"][key], 0.6 * report["model"][key])
        done = self.prune("--keep-latency", "0.95", "--threads", "1")
        self.assertIn(done.returncode, (0, 5), done.stderr)
        latency = self.report()["plan"]["latency"]
        self.assertIn("ONNX Runtime", latency["runtime"])
        self.assertEqual(done.returncode == 0, latency["share"] <= 0.95)

    def test_selected_blocks_alone_go(self):
        self.assertEqual(self.prune("--sparsity", "0.5", "--include", "b[02].*").returncode, 0)
        self.assertEqual(self.removed(), ["b2.add"])
        self.assertEqual(self.prune("--sparsity", "0.5", "--exclude", "b1.conv", "--exclude", "b3.a").returncode, 2)
        self.assertEqual(self.prune("--sparsity", "0.5", "--exclude", "b3.a.conv").returncode, 0)
        self.assertEqual(self.removed(), ["b1.add", "b2.add"])

    def test_a_target_out_of_reach_writes_the_model_without_any_block(self):
        done = self.prune("--keep-macs", "0.01")
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertEqual(len(self.removed()), len(SCALES))
        x = numpy.ones((1, 1, 28, 28), numpy.float32)
        numpy.testing.assert_allclose(run(self.out, x), run(residual(self.folder / "none.onnx", kept=()), x), rtol=1e-4)

    def test_the_rest_is_retrained(self):
        data = models.idx_folder(self.folder / "data")
        done = self.prune("--sparsity", "0.5", "--data", data, "--steps", "3", "--batch", "8", epochs=None)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("accuracy_before", self.report()["metrics"])
        changed = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(self.out).graph.initializer}
        before = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(self.model).graph.initializer}
        self.assertFalse(numpy.array_equal(changed["b0.a"], before["b0.a"]))

    def test_inspect_lists_blocks_and_sums_that_stay(self):
        model = residual(self.folder / "step.onnx", step=True)
        done = subprocess.run([PARE, "inspect", "--groups", model, "--report", "-"], capture_output=True, text=True, check=True)
        section = json.loads(done.stdout)["inspect"] if "inspect" in json.loads(done.stdout) else json.loads(done.stdout)
        found = json.dumps(section)
        self.assertIn('"residual_blocks"', found)
        self.assertIn("neither of its inputs is computed from the other", found)

    def test_what_cannot_be_is_refused(self):
        self.refused(self.prune(), 2, "needs one of")
        self.refused(self.prune("--sparsity", "0.5", "--include", "stem*"), 2, "'stem*' matches no residual block")
        self.refused(self.prune("--sparsity", "0.5", "--exclude", "b?.a"), 3, "--include and --exclude leave none of 4")
        self.refused(self.prune("--sparsity", "0.5", "--mask-only"), 2, "--mask-only")
        self.refused(self.prune("--sparsity", "0.5", "--scope", "erk"), 2, "--scope erk")
        self.refused(self.prune("--sparsity", "0.5", epochs=1), 2, "--data")
        self.refused(self.prune("--sparsity", "0.5", model=models.convolutional(self.folder / "plain.onnx")), 3, "no Add of two computed values")
        self.refused(self.prune("--sparsity", "0.5", model=residual(self.folder / "step.onnx", kept=(), step=True)), 3, "node 'step'",
                     "neither of its inputs")


if __name__ == "__main__":
    unittest.main()
