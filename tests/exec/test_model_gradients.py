"""Real models train: after one step of distillation from the original, every weight of a model with 1 % of noise has moved, by a finite amount."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import numpy
import onnx
from onnx import numpy_helper
from test_models import MODELS, PACKAGES, feed

PARE = os.environ["PARE"]
ADD_NOISE = pathlib.Path(__file__).parents[2] / "scripts" / "add_noise.py"

# A squeeze-and-excitation gate: the HardSigmoid behind these layers is saturated in all channels on this page.
WITHOUT_GRADIENT = {"ocr_detector": {"conv2d_157.w_0", "conv2d_157.b_0", "conv2d_158.w_0", "conv2d_158.b_0"}}


def constants(model):
    """Float32 weights by name: initializers and Constants of more than one element."""
    tensors = {initializer.name: initializer for initializer in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            tensors.update({node.output[0]: attribute.t for attribute in node.attribute if attribute.name == "value"})
    values = {name: numpy_helper.to_array(tensor) for name, tensor in tensors.items()}
    return {name: value for name, value in values.items() if value.dtype == numpy.float32 and value.size > 1}


def not_trained(model):
    """What is no weight: statistics of normalizations, sizes of Resize."""
    names = set()
    for node in model.graph.node:
        names.update(node.input[3:5] if node.op_type == "BatchNormalization" else node.input[1:] if node.op_type == "Resize" else [])
    return names


class Gradients(unittest.TestCase):
    def check(self, name):
        path, shape = MODELS[name]
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary)
            # The learning rate makes even small gradients larger than a weight's last digit.
            numpy.savez(folder / "data.npz", **{key: value[:1] for key, value in feed(name, shape).items()})
            subprocess.run([sys.executable, ADD_NOISE, PACKAGES / path, "0.01", "1", folder / "noisy.onnx"], check=True)
            done = subprocess.run([PARE, "distill", folder / "noisy.onnx", "--teacher", PACKAGES / path, "--init", "keep", "--data", folder / "data.npz", "--scale", "1",
                                   "--steps", "1", "--batch", "1", "--optimizer", "sgd", "--momentum", "0", "--no-nesterov", "--lr", "10000", "--weight-decay", "0", "--batch-norm", "freeze",
                                   "--device", "cpu", "-q", "-o", folder / "moved.onnx"], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            noisy, moved = onnx.load(folder / "noisy.onnx"), onnx.load(folder / "moved.onnx")
        before, after = constants(noisy), constants(moved)
        weights = set(before) - not_trained(noisy)
        self.assertGreater(len(weights), 5)
        self.assertEqual([weight for weight in weights if not numpy.isfinite(after[weight]).all()], [])
        self.assertEqual({weight for weight in weights if numpy.array_equal(before[weight], after[weight])}, WITHOUT_GRADIENT.get(name, set()))


for model in ("minilm", "magika", "ocr_classifier", "ocr_recogniser", "ocr_detector", "captcha_reader", "captcha_detector"):
    setattr(Gradients, f"test_{model}", lambda self, name=model: self.check(name))

if __name__ == "__main__":
    unittest.main()
