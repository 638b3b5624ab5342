"""The whole line on Fashion-MNIST: train briefly, prune, evaluate, convert, with ONNX Runtime as the oracle."""
import gzip
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

import numpy
import onnx
import onnxruntime

PARE = os.environ["PARE"]
DATA = pathlib.Path("/usr/share/datasets/fashion-mnist")
MODEL = pathlib.Path(__file__).parents[2] / "models" / "fashion-cnn.onnx"
SHORT = ["--data", str(DATA), "--limit", "1280", "--device", "cpu", "--seed", "3", "--epochs", "2", "--sparsity", "0.8", "-q"]


def pare(*arguments, code=0):
    done = subprocess.run([PARE, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    if done.returncode != code:
        raise AssertionError(f"exit {done.returncode}, expected {code}: pare {arguments}\n{done.stdout}{done.stderr}")
    return done


def report(*arguments, code=0):
    return json.loads(pare(*arguments, "--report", "-", code=code).stdout)


def sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def test_images():
    with gzip.open(DATA / "t10k-images-idx3-ubyte.gz") as file:
        images = numpy.frombuffer(file.read(), numpy.uint8, offset=16).reshape(-1, 1, 28, 28)
    with gzip.open(DATA / "t10k-labels-idx1-ubyte.gz") as file:
        labels = numpy.frombuffer(file.read(), numpy.uint8, offset=8)
    return images.astype(numpy.float32) / numpy.float32(255), labels


def runtime_logits(path, images):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return numpy.concatenate([session.run(None, {"image": images[i : i + 500]})[0] for i in range(0, len(images), 500)])


def cross_entropy(logits, labels):
    logits = logits.astype(numpy.float64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    return (numpy.log(numpy.exp(shifted).sum(axis=1)) - shifted[numpy.arange(len(labels)), labels]).mean()


class Line(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.images, cls.labels = test_images()

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def same_as_runtime(self, metrics, path):
        logits = runtime_logits(path, self.images)
        correct = int((logits.argmax(axis=1) == self.labels).sum())
        self.assertEqual(round(metrics["accuracy"] * len(self.labels)), correct)
        self.assertAlmostEqual(metrics["loss"], cross_entropy(logits, self.labels), places=5)

    def test_evaluate_agrees_with_onnx_runtime(self):
        self.same_as_runtime(report("evaluate", MODEL, "--data", DATA)["metrics"], MODEL)

    def test_outputs_equal_those_of_onnx_runtime(self):
        saved = self.folder / "outputs.npz"
        pare("evaluate", MODEL, "--data", DATA, "--runtime", "pare", "--save-outputs", saved, "-q")
        with numpy.load(saved) as arrays:
            self.assertEqual(arrays.files, ["logits"])
            logits = arrays["logits"]
        self.assertEqual(logits.dtype, numpy.float32)
        self.assertLessEqual(numpy.abs(logits - runtime_logits(MODEL, self.images)).max(), 1e-4)
        pare("evaluate", MODEL, "--data", DATA, "--save-outputs", saved, "-q", code=2)

    def test_bf16_trains(self):
        out = self.folder / "bf16.onnx"
        pare("prune", MODEL, "--data", DATA, "--sparsity", "0.5", "--steps", "8", "--limit", "2000", "--precision", "bf16", "-o", out, "-q")
        onnx.checker.check_model(onnx.load(out))

    def test_prune_writes_what_it_reports(self):
        onnx_file, hdf5_file, back = (self.folder / name for name in ("small.onnx", "small.h5", "back.onnx"))
        data = ["--data", DATA, "--limit", "1280", "--device", "cpu", "--epochs", "2", "--sparsity", "0.8"]
        written = report("prune", MODEL, *data, "-o", onnx_file, "-o", hdf5_file)
        onnx.checker.check_model(onnx.load(onnx_file))
        weights = [onnx.numpy_helper.to_array(t) for t in onnx.load(onnx_file).graph.initializer if len(t.dims) >= 2]
        zeros = sum(int((w == 0).sum()) for w in weights) / sum(w.size for w in weights)
        self.assertGreaterEqual(zeros, 0.8)
        self.assertLess(zeros, 0.801)
        self.assertAlmostEqual(written["result"]["sparsity"], zeros)
        self.assertLess(hdf5_file.stat().st_size, 0.35 * MODEL.stat().st_size)
        # The report is about the first 1,280 of a seeded shuffle; all test images are measured by evaluate.
        whole = report("evaluate", hdf5_file, "--data", DATA, "--runtime", "pare")["metrics"]
        self.same_as_runtime(whole, onnx_file)
        pare("convert", hdf5_file, back)
        self.assertEqual(sha256(back), sha256(onnx_file))

    def test_same_seed_gives_same_bytes_also_after_a_stop(self):
        first, second, resumed = (self.folder / f"{name}.onnx" for name in ("first", "second", "resumed"))
        pare("prune", MODEL, *SHORT, "-o", first)
        pare("prune", MODEL, *SHORT, "-o", second)
        self.assertEqual(sha256(first), sha256(second))
        command = [PARE, "prune", str(MODEL), *SHORT, "--checkpoint-every", "1", "-o", str(resumed)]
        stopped = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        checkpoint = pathlib.Path(f"{resumed}.run") / "checkpoint.h5"
        while not checkpoint.exists() and stopped.poll() is None:
            time.sleep(0.01)
        stopped.send_signal(signal.SIGTERM)
        self.assertEqual(stopped.wait(60), 75)
        self.assertFalse(resumed.exists())
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        self.assertEqual(sha256(first), sha256(resumed))
        self.assertFalse(checkpoint.parent.exists())

    def test_gates_decide_the_exit_code(self):
        document = report("evaluate", MODEL, "--data", DATA, "--limit", 500, "--gate", "accuracy>=0.999", code=4)
        self.assertEqual(document["verdict"], "gate-failed")
        self.assertEqual([row["met"] for row in document["gates"]], [False])
        pare("evaluate", MODEL, "--data", DATA, "--limit", 500, "--gate", "accuracy>=0.5")
        pare("evaluate", MODEL, "--data", DATA, "--gate", "acuracy>=0.5", code=2)


class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def refused(self, code, *arguments, naming):
        done = pare(*arguments, code=code)
        lines = done.stderr.strip().splitlines()
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertTrue(lines[0].startswith("pare: "), lines[0])
        self.assertIn(naming, lines[0])

    def prune(self, model, *more):
        return ["prune", model, "--data", DATA, "--sparsity", "0.5", "-o", self.folder / "out.onnx", *more]

    def nothing_left(self):
        self.assertEqual([p.name for p in self.folder.iterdir() if p.name.startswith("out.onnx")], [])

    def test_models(self):
        truncated = self.folder / "truncated.onnx"
        truncated.write_bytes(MODEL.read_bytes()[:5000])
        text = self.folder / "text.onnx"
        text.write_text("not a model")
        unknown = self.folder / "unknown.onnx"
        model = onnx.load(MODEL)
        model.graph.node[1].op_type = "Frobnicate"
        unknown.write_bytes(model.SerializeToString())
        self.refused(2, *self.prune(self.folder / "missing.onnx"), naming="missing.onnx")
        self.refused(3, *self.prune(truncated), naming="truncated.onnx")
        self.refused(3, *self.prune(text), naming="text.onnx")
        self.refused(3, *self.prune(unknown), naming="Frobnicate")
        self.nothing_left()

    def idx_folder(self, name, images, labels):
        folder = self.folder / name
        folder.mkdir()
        for prefix in ("train", "t10k"):
            header = (0x0803).to_bytes(4, "big") + b"".join(n.to_bytes(4, "big") for n in images.shape)
            (folder / f"{prefix}-images-idx3-ubyte").write_bytes(header + images.tobytes())
            header = (0x0801).to_bytes(4, "big") + len(labels).to_bytes(4, "big")
            (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())
        return folder

    def test_data(self):
        zeros = numpy.zeros((4, 28, 28), numpy.uint8)
        wrong = self.idx_folder("wrong_shape", numpy.zeros((4, 28, 27), numpy.uint8), numpy.zeros(4, numpy.uint8))
        labels = self.idx_folder("bad_label", zeros, numpy.array([1, 2, 10, 3], numpy.uint8))
        empty = self.idx_folder("empty", zeros[:0], numpy.zeros(0, numpy.uint8))
        self.refused(3, "evaluate", MODEL, "--data", wrong, naming="27")
        self.refused(3, "evaluate", MODEL, "--data", labels, naming="10")
        self.refused(3, "evaluate", MODEL, "--data", empty, naming="empty")

    def test_options(self):
        taken = self.folder / "taken.onnx"
        taken.write_bytes(b"precious")
        self.refused(2, "prune", MODEL, "--data", DATA, "--sparsity", "0.5", "-o", taken, naming="--force")
        self.assertEqual(taken.read_bytes(), b"precious")
        for sparsity in ("0", "1", "1.5", "-0.1", "many"):
            self.refused(2, "prune", MODEL, "--data", DATA, "--sparsity", sparsity, "-o", self.folder / "out.onnx", naming="sparsity")
        self.refused(2, *self.prune(MODEL, "--device", "cuda"), naming="cuda")
        self.refused(2, *self.prune(MODEL, "--include", "nothing*"), naming="nothing*")
        self.nothing_left()

    def test_full_disk(self):
        limited = f'trap "" XFSZ; ulimit -f 16; exec "{PARE}" convert "{MODEL}" "{self.folder}/out.onnx"'
        done = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.nothing_left()


if __name__ == "__main__":
    unittest.main()
