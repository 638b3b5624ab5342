"""make_lenet.py: both networks have their known number of parameters, run in ONNX Runtime, and are the same file each time."""
import os
import subprocess
import sys
import tempfile
import unittest

import numpy as np
import onnx
import onnxruntime

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts", "make_lenet.py")


def make(kind, seed):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "lenet.onnx")
        subprocess.run([sys.executable, SCRIPT, kind, path, "--seed", str(seed)], check=True)
        with open(path, "rb") as file:
            return file.read()


class MakeLenet(unittest.TestCase):
    def test_the_networks(self):
        for kind, parameters in (("300-100", 266_610), ("5", 431_080)):
            with self.subTest(kind):
                first = make(kind, 1)
                self.assertEqual(first, make(kind, 1))
                self.assertNotEqual(first, make(kind, 2))
                model = onnx.load_from_string(first)
                self.assertEqual(sum(int(np.prod(tensor.dims)) for tensor in model.graph.initializer), parameters)
                session = onnxruntime.InferenceSession(first, providers=["CPUExecutionProvider"])
                images = np.random.default_rng(0).random((5, 1, 28, 28), dtype=np.float32)
                logits = session.run(["logits"], {"image": images})[0]
                self.assertEqual(logits.shape, (5, 10))
                self.assertTrue(0.05 < np.abs(logits).max() < 50)


if __name__ == "__main__":
    unittest.main()
