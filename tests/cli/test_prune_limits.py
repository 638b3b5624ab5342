"""What pruning does with models and data at the edge of what can be pruned: each case has its exit code, and one line that says why."""
import json
import os
import pathlib
import subprocess
import sysconfig
import tempfile
import unittest

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

PARE = os.environ["PARE"]
CHANNELS = ["--structure", "channel", "--round-to", "1", "--min-keep", "1"]


def weights(seed=0, **shapes):
    random = numpy.random.default_rng(seed)
    return {name: random.standard_normal(shape).astype(numpy.float32) for name, shape in shapes.items()}


def conv(x, weight, y):
    return helper.make_node("Conv", [x, weight], [y], name=f"{y}.conv", pads=[1, 1, 1, 1])


def relu(x, y):
    return helper.make_node("Relu", [x], [y], name=f"{y}.relu")


def classifier(x):
    return [helper.make_node("GlobalAveragePool", [x], ["pooled"], name="pool"), helper.make_node("Flatten", ["pooled"], ["flat"], name="flatten"),
            helper.make_node("Gemm", ["flat", "dense"], ["y"], name="fc", transB=1)]


class PruneLimits(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        self.out = self.folder / "small.onnx"

    def save(self, nodes, tensors, returned=()):
        graph = helper.make_graph(
            nodes, "limits", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 8, 8])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 10]),
             *(helper.make_tensor_value_info(name, TensorProto.FLOAT, tensors[name].shape) for name in returned)],
            [numpy_helper.from_array(array, name) for name, array in tensors.items()])
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), self.folder / "model.onnx")

    def prune(self, *options, code=0, untrained=True):
        self.out.unlink(missing_ok=True)
        command = [PARE, "prune", self.folder / "model.onnx", "-o", self.out, "--force", "--report", self.folder / "report.json", *options]
        if untrained:
            command += ["--epochs", "0"]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        if code not in (0, 5):
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            self.assertFalse(self.out.exists())
        return done.stderr

    def run_model(self, path):
        x = numpy.random.default_rng(9).standard_normal((2, 1, 8, 8)).astype(numpy.float32)
        return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"x": x})

    def test_a_layer_of_one_channel_keeps_it(self):
        self.save([conv("x", "a", "c"), relu("c", "r"), *classifier("r")], weights(a=(1, 1, 3, 3), dense=(10, 1)))
        self.assertIn("no channel can be removed", self.prune(*CHANNELS, "--importance", "magnitude", "--sparsity", "0.5", code=3))
        # Beside a wider one: that one alone becomes narrower, and the target for both is out of reach.
        self.save([conv("x", "a", "c"), relu("c", "r"), conv("r", "b", "d"), relu("d", "s"), *classifier("s")],
                  weights(a=(1, 1, 3, 3), b=(4, 1, 3, 3), dense=(10, 4)))
        self.prune(*CHANNELS, "--importance", "magnitude", "--keep-params", "0.01", code=5)
        shapes = {tensor.name: list(tensor.dims) for tensor in onnx.load(self.out).graph.initializer}
        self.assertEqual((shapes["a"], shapes["b"]), ([1, 1, 3, 3], [1, 1, 3, 3]))

    def test_layers_that_share_a_weight_lose_the_same_channels(self):
        self.save([conv("x", "stem", "c0"), relu("c0", "r0"), conv("r0", "shared", "c1"), relu("c1", "r1"), conv("r1", "shared", "c2"), relu("c2", "r2"),
                   *classifier("r2")], weights(stem=(8, 1, 3, 3), shared=(8, 8, 3, 3), dense=(10, 8)))
        options = [*CHANNELS, "--importance", "magnitude", "--sparsity", "0.5"]
        self.prune(*options)
        shapes = {tensor.name: list(tensor.dims) for tensor in onnx.load(self.out).graph.initializer}
        self.assertEqual(shapes, {"stem": [4, 1, 3, 3], "shared": [4, 4, 3, 3], "dense": [10, 4]})
        small = self.run_model(self.out)[0]
        self.prune(*options, "--mask-only")
        masked = self.run_model(self.out)[0]
        numpy.testing.assert_allclose(small, masked, rtol=0, atol=1e-5 * float(numpy.abs(masked).max()))

    def test_a_weight_that_is_an_output_keeps_its_shape(self):
        nodes = [conv("x", "a", "c0"), relu("c0", "r0"), conv("r0", "b", "c1"), relu("c1", "r1"), conv("r1", "c", "c2"), relu("c2", "r2"), *classifier("r2")]
        tensors = weights(a=(8, 1, 3, 3), b=(8, 8, 3, 3), c=(8, 8, 3, 3), dense=(10, 8))
        self.save(nodes, tensors, returned=["b"])
        self.prune(*CHANNELS, "--importance", "magnitude", "--keep-params", "0.7")
        y, kept = self.run_model(self.out)
        self.assertEqual(y.shape, (2, 10))
        numpy.testing.assert_array_equal(kept, tensors["b"])
        self.save(nodes[:4] + classifier("r1"), {name: tensors[name] for name in ("a", "b", "dense")}, returned=["b"])
        self.assertIn("keep theirs", self.prune(*CHANNELS, "--importance", "magnitude", "--sparsity", "0.5", code=3))
        # A block goes, the weight of it that is an output stays.
        self.save([conv("x", "a", "c0"), conv("c0", "b", "c1"), helper.make_node("Add", ["c0", "c1"], ["sum"], name="sum"), *classifier("sum")],
                  {name: tensors[name] for name in ("a", "b", "dense")}, returned=["b"])
        self.prune("--structure", "residual", "--sparsity", "1e-3")
        y, kept = self.run_model(self.out)
        numpy.testing.assert_array_equal(kept, tensors["b"])
        self.assertEqual([node.op_type for node in onnx.load(self.out).graph.node], ["Conv", "GlobalAveragePool", "Flatten", "Gemm"])

    def test_weights_that_are_not_numbers_are_refused(self):
        tensors = weights(a=(8, 1, 3, 3), b=(8, 8, 3, 3), dense=(10, 8))
        tensors["b"][1, 2, 0, 0] = numpy.inf
        self.save([conv("x", "a", "c0"), conv("c0", "b", "c1"), helper.make_node("Add", ["c0", "c1"], ["sum"], name="sum"), *classifier("sum")], tensors)
        self.assertIn("output 'y' holds inf or NaN", self.prune("--structure", "residual", "--sparsity", "0.5", code=3))
        self.assertIn("'b'", self.prune(*CHANNELS, "--importance", "magnitude", "--sparsity", "0.5", code=3))
        self.assertIn("'b'", self.prune("--sparsity", "0.5", "--mask-only", "--importance", "magnitude", code=3))

    def test_gradients_that_are_not_numbers_are_an_error(self):
        self.save([conv("x", "a", "c"), relu("c", "r"), *classifier("r")], weights(a=(8, 1, 3, 3), dense=(10, 8)))
        # Finite images, whose gradients are not.
        numpy.savez(self.folder / "huge.npz", x=numpy.full((16, 1, 8, 8), 3e38, numpy.float32), labels=numpy.arange(16) % 10)
        options = [*CHANNELS, "--sparsity", "0.5", "--data", self.folder / "huge.npz", "--labels", "labels", "--batch", "8"]
        self.assertIn("gradients of all 2 batches held inf or NaN", self.prune(*options, code=1))
        self.assertIn("held inf or NaN", self.prune(*options, "--steps", "4", "--schedule", "iterative:2", "--teacher", "none", code=1, untrained=False))

    def test_sums_that_n_m_does_not_divide_are_named(self):
        self.save([conv("x", "a", "c"), relu("c", "r"), *classifier("r")], weights(a=(8, 1, 3, 3), dense=(10, 8)))
        self.assertIn("weight 'a': its sums of 9 do not divide by 4", self.prune("--structure", "2:4", "--mask-only", "--importance", "magnitude"))
        for kernel in numpy_helper.to_array(next(t for t in onnx.load(self.out).graph.initializer if t.name == "a")).reshape(8, 9):
            self.assertEqual([int(numpy.count_nonzero(kernel[i:i + 4])) for i in (0, 4, 8)], [2, 2, 1])

    def zeros(self):
        """The share of zeros of every matrix of 500 elements or more, those of branches too."""
        def walk(graph):
            shares = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
            for node in graph.node:
                for attribute in node.attribute:
                    if attribute.type == onnx.AttributeProto.GRAPH:
                        shares |= walk(attribute.g)
                    elif node.op_type == "Constant" and attribute.type == onnx.AttributeProto.TENSOR:
                        shares[node.output[0]] = numpy_helper.to_array(attribute.t)
            return shares
        arrays = walk(onnx.load(self.out).graph)
        return {name: float((array == 0).mean()) for name, array in arrays.items() if array.size >= 500 and array.ndim > 1}

    def test_weights_that_nodes_rearrange_are_pruned_one_by_one_or_named(self):
        nodes = [conv("x", "a", "c"), helper.make_node("Flatten", ["c"], ["flat"]), helper.make_node("Transpose", ["turned"], ["t"]),
                 helper.make_node("MatMul", ["flat", "t"], ["y"])]
        self.save(nodes, weights(a=(56, 1, 3, 3), turned=(10, 56 * 64)))
        self.assertEqual(self.prune("--sparsity", "0.5", "--scope", "layer", "--importance", "magnitude"), "")
        self.assertEqual(self.zeros(), {"a": 0.5, "turned": 0.5})
        told = self.prune("--structure", "2:4", "--importance", "magnitude")
        self.assertIn("weight 'turned': reaches its layer only through nodes that rearrange it", told)
        self.assertEqual(self.zeros()["turned"], 0)

    def test_sizes_that_were_assumed_and_do_not_fit_are_named(self):
        wide = helper.make_node("Conv", ["x", "wide"], ["c"], name="wide.conv", kernel_shape=[1, 100])
        self.save([wide, *classifier("c")], weights(wide=(8, 1, 1, 100), dense=(10, 8)))
        model = onnx.load(self.folder / "model.onnx")
        for axis in (2, 3):
            model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = "side"
        onnx.save(model, self.folder / "model.onnx")
        options = [*CHANNELS, "--importance", "magnitude", "--sparsity", "0.5"]
        told = self.prune(*options, code=3)
        self.assertIn("input 'x' leaves open were taken as 64", told)
        self.assertIn("--shape", told)
        self.prune(*options, "--shape", "x=1x1x100x100")
        # An error of a model that leaves only its batch open has another cause.
        self.save([conv("x", "a", "c"), helper.make_node("Add", ["c", "x"], ["sum"], name="sum"), helper.make_node("Log", ["sum"], ["l"]),
                   *classifier("l")], weights(a=(1, 1, 3, 3), dense=(10, 1)))
        told = self.prune("--structure", "residual", "--sparsity", "0.5", "--importance", "magnitude", code=3)
        self.assertIn("inf or NaN", told)
        self.assertNotIn("leaves open", told)

    def test_layers_that_are_no_plain_products_are_left_by_sparsegpt(self):
        random = numpy.random.default_rng(4)
        tensors = {"w": random.standard_normal((1, 64, 8)), "r": random.standard_normal((1, 64, 16)), "dense": random.standard_normal((16, 10))}
        nodes = [helper.make_node("Squeeze", ["x", "one"], ["rows"]), helper.make_node("Transpose", ["rows"], ["steps"], perm=[1, 0, 2]),
                 helper.make_node("LSTM", ["steps", "w", "r"], ["", "h"], hidden_size=16), helper.make_node("Squeeze", ["h", "zero"], ["last"]),
                 helper.make_node("MatMul", ["last", "dense"], ["y"])]
        tensors = {name: array.astype(numpy.float32) for name, array in tensors.items()}
        self.save(nodes, tensors | {"one": numpy.int64([1]), "zero": numpy.int64([0])})
        numpy.savez(self.folder / "x.npz", x=random.standard_normal((16, 1, 8, 8)).astype(numpy.float32))
        told = self.prune("--sparsity", "0.5", "--importance", "sparsegpt", "--data", self.folder / "x.npz")
        self.assertIn("weight 'r' and 1 more: its layer is no plain product", told)
        zeros = {tensor.name: float((numpy_helper.to_array(tensor) == 0).mean()) for tensor in onnx.load(self.out).graph.initializer}
        self.assertEqual((zeros["w"], zeros["r"], zeros["dense"]), (0, 0, 0.5))

    def test_a_model_whose_layers_are_in_branches(self):
        voice = pathlib.Path(sysconfig.get_path("purelib")) / "silero_vad/data/silero_vad.onnx"
        (self.folder / "model.onnx").write_bytes(voice.read_bytes())
        data = self.folder / "voice.npz"
        numpy.savez(data, input=numpy.random.default_rng(3).standard_normal((8, 576)).astype(numpy.float32),
                    state=numpy.zeros((8, 2, 1, 128), numpy.float32), sr=numpy.full(8, 16000))
        samples = ["--data", data, "--batch", "1"]
        self.prune("--sparsity", "0.5", "--scope", "layer", "--importance", "magnitude")
        self.assertTrue(all(0.49 < share < 0.52 for share in self.zeros().values()), self.zeros())
        self.prune("--structure", "2:4", "--importance", "magnitude")
        self.assertEqual({round(share, 1) for name, share in self.zeros().items() if "rnn" not in name}, {0.5})
        # One output is a single number, no logits: its gradient is not that of a softmax, which is zero.
        self.prune("--sparsity", "0.5", "--importance", "taylor", *samples)
        for importance in ("wanda", "sparsegpt"):
            self.assertIn("is inside of a node", self.prune("--sparsity", "0.5", "--importance", importance, *samples, code=3))

    def test_the_plan_of_a_target_out_of_reach_says_so(self):
        self.save([conv("x", "a", "c"), relu("c", "r"), *classifier("r")], weights(a=(8, 1, 3, 3), dense=(10, 8)))
        self.prune(*CHANNELS, "--importance", "magnitude", "--keep-macs", "0.01", "--dry-run")
        self.assertFalse(json.loads((self.folder / "report.json").read_text())["plan"]["reached"])


if __name__ == "__main__":
    unittest.main()
