"""make_fashion_cnn.py: the untrained CNN is the one that the README describes, and is the same file each time."""
import os
import subprocess
import sys
import tempfile
import unittest

import numpy as np
import onnx
import onnxruntime

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts", "make_fashion_cnn.py")


def make(folder, name, seed):
    path = os.path.join(folder, name)
    subprocess.run([sys.executable, SCRIPT, path, "--seed", str(seed)], check=True)
    with open(path, "rb") as file:
        return file.read()


class MakeFashionCnn(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory() as folder:
            cls.first, cls.again, cls.other = (make(folder, f"{i}.onnx", seed) for i, seed in enumerate((1, 1, 2)))

    def test_the_seed_decides_the_bytes(self):
        self.assertEqual(self.first, self.again)
        self.assertNotEqual(self.first, self.other)

    def test_any_batch_size_runs_and_the_initial_logits_are_of_sane_size(self):
        session = onnxruntime.InferenceSession(self.first, providers=["CPUExecutionProvider"])
        images = np.random.default_rng(0).random((5, 1, 28, 28), dtype=np.float32)
        logits = session.run(["logits"], {"image": images})[0]
        self.assertEqual(logits.shape, (5, 10))
        self.assertTrue(0.05 < np.abs(logits).max() < 20)
        np.testing.assert_allclose(session.run(["logits"], {"image": images[:1]})[0], logits[:1], atol=1e-5)

    def test_it_has_the_documented_trainable_parameters(self):
        model = onnx.ModelProto.FromString(self.first)
        self.assertEqual((model.ir_version, model.opset_import[0].version), (8, 17))
        trainable = [t for t in model.graph.initializer if not t.name.endswith((".mean", ".var"))]
        self.assertEqual(sum(int(np.prod(t.dims)) for t in trainable), 30874)


if __name__ == "__main__":
    unittest.main()
