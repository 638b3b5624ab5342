"""prune -> qat -> evaluate with gates, once through .onnx and once through entropy-coded .h5: the same codes, the same accuracy, zeros stay zero."""
import json
import os
import pathlib
import re
import shlex
import subprocess
import tempfile
import unittest

import numpy as np
import onnx
from onnx import numpy_helper

PARE = os.environ["PARE"]
MODEL = pathlib.Path(__file__).parents[2] / "models" / "fashion-cnn.onnx"
DATA = ["--data", "/usr/share/datasets/fashion-mnist"]
RUN = ["--threads", 1, "--device", "cpu", "-q"]
TRAINING = [*DATA, "--limit", 4096, "--steps", 80, "--batch", 64, *RUN]


def pare(*arguments, code=0):
    done = subprocess.run([PARE, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    if done.returncode != code:
        raise AssertionError(f"exit {done.returncode}, expected {code}: {arguments}\n{done.stdout}{done.stderr}")
    return done


def tensors(path):
    return {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}


class Chain(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)

    def as_onnx(self, path):
        if path.suffix == ".onnx":
            return path
        pare("convert", path, path.with_suffix(".back.onnx"), "--check")
        return path.with_suffix(".back.onnx")

    def chain(self, extension, *options):
        pruned, small, report = self.folder / f"pruned{extension}", self.folder / f"small{extension}", self.folder / "report.json"
        pare("prune", MODEL, "--sparsity", 0.85, "--importance", "magnitude", "--schedule", "one-shot", *TRAINING, "-o", pruned, *options)
        pare("qat", pruned, "--weights", "int4", "--activations", "uint8", "--teacher", MODEL, *TRAINING, "-o", small, *options)
        pare("evaluate", small, *DATA, "--split", "test", "--limit", 1000, *RUN, "--runtime", "pare", "--report", report)
        accuracy = json.loads(report.read_text())["metrics"]["accuracy"]
        return pruned, small, accuracy

    def test_qat_takes_the_bits_that_a_budget_chose(self):
        plan, trained = self.folder / "plan.json", self.folder / "trained.json"
        done = pare("quantize", MODEL, "--bits-budget", "3.3bpw", "--granularity", "channel", "--dry-run", "-o", self.folder / "q.h5", "--report", plan)
        rules = shlex.split(re.search(r"the same bits for qat: (.*)", done.stdout).group(1))
        pare("qat", MODEL, *rules, "--teacher", "none", *DATA, "--limit", 128, "--steps", 2, "--batch", 64, *RUN, "-o", self.folder / "q.onnx", "--report", trained)
        bits = lambda path: {row["name"]: row["bits"] for row in json.loads(path.read_text())["layers"]}  # noqa: E731
        self.assertEqual(bits(plan), bits(trained))
        self.assertGreater(len(set(bits(plan).values())), 1)

    def test_through_onnx_and_through_hdf5(self):
        pruned, small, accuracy = self.chain(".onnx")
        packed_pruned, packed, packed_accuracy = self.chain(".h5", "--entropy-code")
        self.assertEqual(accuracy, packed_accuracy)
        self.assertGreater(accuracy, 0.5)
        pare("evaluate", packed, *DATA, "--split", "test", "--limit", 1000, *RUN, "--runtime", "pare",
             "--gate", f"accuracy>={accuracy}", "--gate", "bytes<=10000")
        pare("evaluate", packed, *DATA, "--split", "test", "--limit", 1000, *RUN, "--runtime", "pare", "--gate", f"accuracy>{accuracy}", code=4)
        before, after = tensors(pruned), tensors(small)
        zeros = {name: value == 0 for name, value in before.items() if value.ndim > 1}
        self.assertGreater(sum(zero.sum() for zero in zeros.values()) / sum(zero.size for zero in zeros.values()), 0.8)
        for name, zero in zeros.items():
            self.assertTrue((after[name][zero] == 0).all(), name)
        for one, other in ((pruned, packed_pruned), (small, packed)):
            expected, actual = tensors(one), tensors(self.as_onnx(other))
            self.assertEqual(expected.keys(), actual.keys())
            for name, value in expected.items():
                self.assertEqual((value.dtype, value.tobytes()), (actual[name].dtype, actual[name].tobytes()), name)
        print(f"accuracy {accuracy}; {small.stat().st_size} bytes as ONNX, {packed.stat().st_size} as HDF5")


if __name__ == "__main__":
    unittest.main()
