"""pare evaluate: runtimes, agreement of outputs, gates; numpy and Python's onnxruntime as oracles."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

PARE = os.environ["PARE"]
LIBRARY = next((pathlib.Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so*"))
RANDOM = numpy.random.default_rng(11)


def pare(*arguments, code=0, **environment):
    done = subprocess.run([PARE, *map(str, arguments)], capture_output=True, text=True, timeout=120, env={**os.environ, **environment})
    if done.returncode != code:
        raise AssertionError(f"exit {done.returncode}, expected {code}: pare {arguments}\n{done.stdout}{done.stderr}")
    return done


def report(*arguments, code=0, **environment):
    return json.loads(pare(*arguments, "--report", "-", code=code, **environment).stdout)


def two_outputs(path, noise=0.0, op="Relu"):
    """y = softmax(x w) and h = op(x w), with noise on w."""
    w = RANDOM.normal(size=(6, 4)).astype(numpy.float32) if not hasattr(two_outputs, "w") else two_outputs.w
    two_outputs.w = w
    shaken = (w + noise * numpy.random.default_rng(5).normal(size=w.shape)).astype(numpy.float32)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Softmax", ["z"], ["y"], axis=-1), helper.make_node(op, ["z"], ["h"])]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 6])],
                              [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4]) for name in "yh"], [numpy_helper.from_array(shaken, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return shaken


class Evaluate(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.base, cls.shaken = cls.folder / "base.onnx", cls.folder / "shaken.onnx"
        two_outputs(cls.base)
        two_outputs(cls.shaken, 0.1)
        cls.x = RANDOM.normal(size=(50, 6)).astype(numpy.float32)
        cls.data = cls.folder / "x.npz"
        numpy.savez(cls.data, x=cls.x)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def session_outputs(self, path):
        return onnxruntime.InferenceSession(str(path)).run(None, {"x": self.x})

    def test_each_runtime_gives_the_outputs_of_python(self):
        expected = dict(zip("yh", self.session_outputs(self.base)))
        for runtime in ["pare", "ort", f"ort:{LIBRARY}", "both", "auto"]:
            saved = self.folder / "out.npz"
            done = report("evaluate", self.base, "--data", self.data, "--runtime", runtime, "--batch", 16, "--threads", 2, "--save-outputs", saved, "--force", PARE_ORT=str(LIBRARY))
            with numpy.load(saved) as arrays:
                for name in "yh":
                    (numpy.testing.assert_allclose if runtime == "pare" else numpy.testing.assert_array_equal)(arrays[name], expected[name], **({"rtol": 1e-5, "atol": 1e-6} if runtime == "pare" else {}))
            name = f"ONNX Runtime {onnxruntime.__version__}"
            self.assertEqual(name in done["device"]["runtime"], runtime != "pare")
            if runtime == "both":
                self.assertGreater(done["metrics"]["runtime_cosine"], 0.999999)
                self.assertGreater(done["metrics"]["runtime_snr_db"], 100)
                self.assertEqual(done["metrics"]["runtime_agreement"], 1)

    def test_an_hdf5_file_runs_as_the_onnx_that_it_holds(self):
        small = self.folder / "base.h5"
        pare("convert", self.base, small)
        a, b = (report("evaluate", path, "--data", self.data, "--against", self.shaken, "--runtime", "ort", PARE_ORT=str(LIBRARY))["metrics"] for path in (self.base, small))
        self.assertEqual({k: a[k] for k in ("cosine", "snr_db", "agreement")}, {k: b[k] for k in ("cosine", "snr_db", "agreement")})

    def test_agreement_is_that_of_numpy(self):
        done = report("evaluate", self.shaken, "--against", self.base, "--data", self.data, "--runtime", "ort", PARE_ORT=str(LIBRARY))
        own, base = self.session_outputs(self.shaken), self.session_outputs(self.base)
        rows = []
        for a, b in zip(own, base):
            a, b = a.astype(numpy.float64).ravel(), b.astype(numpy.float64).ravel()
            rows.append((a @ b / numpy.linalg.norm(a) / numpy.linalg.norm(b), 10 * numpy.log10((b @ b) / ((a - b) @ (a - b)))))
        metrics = done["metrics"]
        self.assertAlmostEqual(metrics["cosine"], min(row[0] for row in rows), places=9)
        self.assertAlmostEqual(metrics["snr_db"], min(row[1] for row in rows), places=6)
        self.assertEqual(metrics["agreement"], (own[0].argmax(1) == base[0].argmax(1)).mean())
        self.assertEqual([row["name"] for row in done["result"]["outputs"]], ["y", "h"])
        self.assertNotIn("accuracy", metrics)

    def test_runtimes_that_are_not_there(self):
        missing = pare("evaluate", self.base, "--data", self.data, "--runtime", "ort:/nowhere/lib.so", code=2)
        self.assertIn("/nowhere/lib.so cannot be loaded", missing.stderr)
        self.assertIn("PARE_ORT", pare("evaluate", self.base, "--data", self.data, "--runtime", "ort", code=2, PARE_ORT="/nowhere").stderr)
        libc = next(pathlib.Path("/lib/x86_64-linux-gnu").glob("libz.so.1"), None)
        if libc:
            self.assertIn("another library", pare("evaluate", self.base, "--data", self.data, "--runtime", f"ort:{libc}", code=2).stderr)
        self.assertIn("expected one of", pare("evaluate", self.base, "--runtime", "onnx", code=2).stderr)

    def test_a_model_that_the_runtime_refuses_is_exit_3(self):
        broken = self.folder / "broken.onnx"
        two_outputs(broken, op="NoSuchOp")
        self.assertIn("NoSuchOp", pare("evaluate", broken, "--data", self.data, "--runtime", "ort", code=3, PARE_ORT=str(LIBRARY)).stderr)

    def test_values_that_are_not_finite_are_warned_of_and_meet_no_gate(self):
        nan = self.folder / "nan.onnx"
        two_outputs(nan, op="Log")
        for runtime in ("pare", "ort"):
            done = report("evaluate", nan, "--against", self.base, "--data", self.data, "--runtime", runtime, "--gate", "cosine>=-1", code=4, PARE_ORT=str(LIBRARY))
            self.assertTrue(any("output 'h'" in warning and "NaN" in warning for warning in done["warnings"]), done["warnings"])
            self.assertFalse(done["gates"][0]["met"])
        labelled = self.folder / "labelled.npz"
        numpy.savez(labelled, x=self.x, labels=numpy.zeros(50, numpy.int64))
        pare("evaluate", nan, "--data", labelled, "--gate", "accuracy>=0", code=4)
        pare("evaluate", self.base, "--data", labelled, "--gate", "accuracy>=0", code=0)

    def test_a_gate_that_the_data_cannot_answer_is_refused(self):
        for gate, reason in [("accuracy>=0", "no class labels"), ("mse<=1", "no values"), ("cosine>=0", "give --against")]:
            self.assertIn(reason, pare("evaluate", self.base, "--data", self.data, "--gate", gate, code=2).stderr)
        pare("evaluate", self.base, "--data", self.data, "--against", self.base, "--gate", "snr_db>=299", "--gate", "cosine>=1")

    def test_mean_squared_error_and_reference_outputs(self):
        y = RANDOM.normal(size=(50, 4)).astype(numpy.float32)
        path = self.folder / "regression.npz"
        numpy.savez(path, x=self.x, y=y)
        metrics = report("evaluate", self.base, "--data", path, "--gate", "mse<=100")["metrics"]
        self.assertAlmostEqual(metrics["mse"], ((self.session_outputs(self.base)[0] - y) ** 2).mean(), places=6)
        for i in range(3):
            folder = self.folder / "sets" / f"test_data_set_{i}"
            folder.mkdir(parents=True)
            (folder / "input_0.pb").write_bytes(numpy_helper.from_array(self.x[i : i + 2], "x").SerializeToString())
            for number, value in enumerate(onnxruntime.InferenceSession(str(self.base)).run(None, {"x": self.x[i : i + 2]})):
                (folder / f"output_{number}.pb").write_bytes(numpy_helper.from_array(value, "yh"[number]).SerializeToString())
        metrics = report("evaluate", self.base, "--data", self.folder / "sets", "--runtime", "pare")["metrics"]
        self.assertLess(metrics["mse"], 1e-12)
        self.assertGreater(metrics["snr_db"], 100)

    def outputs_with(self, w):
        z = self.x.astype(numpy.float64) @ w.astype(numpy.float64)
        exponentials = numpy.exp(z - z.max(1, keepdims=True))
        return exponentials / exponentials.sum(1, keepdims=True), numpy.maximum(z, 0)

    def test_sensitivity_is_that_of_numpy(self):
        w = two_outputs.w
        rows = {}
        for kind in ("prune", "quantize"):
            for row in report("evaluate", self.base, "--data", self.data, "--sensitivity", kind)["layers"]:
                self.assertEqual((row["name"], row["op"], row["shape"]), ("w", "MatMul", [6, 4]))
                rows[row["change"]] = row
        order = numpy.argsort(-numpy.abs(w).ravel(), kind="stable")
        pruned = w.copy().ravel()
        pruned[order[12:]] = 0
        changed = {"50 % pruned": pruned.reshape(w.shape)}
        for bits in (8, 4):
            scale = numpy.abs(w).max(axis=0, keepdims=True) / numpy.float32(2 ** (bits - 1) - 1)
            changed[f"int{bits}"] = numpy.clip(numpy.rint(w / scale), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1) * scale
        self.assertEqual(set(rows), set(changed))
        self.assertEqual(rows["50 % pruned"]["sparsity"], 0.5)
        for change, weights in changed.items():
            snr = min(10 * numpy.log10((b**2).sum() / ((a - b) ** 2).sum()) for a, b in zip(self.outputs_with(weights), self.outputs_with(w)))
            self.assertAlmostEqual(rows[change]["snr_db"], snr, places=2)
        self.assertIn("give --data", pare("evaluate", self.base, "--sensitivity", "prune", code=2).stderr)

    def test_latency_of_batch_sizes(self):
        done = report("evaluate", self.base, "--against", self.shaken, "--latency", "--batch-sizes", "1,8", "--runtime", "ort", "--gate", "speedup>=0.01", PARE_ORT=str(LIBRARY))
        self.assertEqual([row["batch"] for row in done["result"]["latencies"]], [1, 8])
        for row in done["result"]["latencies"]:
            self.assertLessEqual(row["latency_ms_p50"], row["latency_ms_p95"])
            self.assertGreater(row["speedup"], 0)
        self.assertEqual(done["metrics"]["latency_ms_p50"], done["result"]["latencies"][0]["latency_ms_p50"])
        report("evaluate", self.base, "--data", self.data, "--latency", "--batch-sizes", "64", "--runtime", "pare")

    def test_latency_with_shapes_that_the_model_leaves_open(self):
        values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3, "height", "width"]) for name in ("image", "relu")]
        open_model = self.folder / "open.onnx"
        onnx.save(helper.make_model(helper.make_graph([helper.make_node("Relu", ["image"], ["relu"])], "open", values[:1], values[1:]), ir_version=8), open_model)
        timed = ["evaluate", open_model, "--latency", "--runtime", "pare"]
        self.assertIn("dimension 2 has no fixed size; give --shape or --data", pare(*timed, code=3).stderr)
        rows = report(*timed, "--shape", "image=1x3x8x9", "--batch-sizes", "1,4")["result"]["latencies"]
        self.assertEqual([row["batch"] for row in rows], [1, 4])
        self.assertIn("got 1x4x8x9, expected", pare(*timed, "--shape", "image=1x4x8x9", code=3).stderr)


if __name__ == "__main__":
    unittest.main()
