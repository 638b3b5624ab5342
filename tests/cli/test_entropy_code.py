"""--entropy-code: the bytes that the bundled CNN takes pruned, quantized and entropy-coded, against the entropy of its own codes and masks."""
import os
import pathlib
import subprocess
import tempfile
import unittest

import h5py
import numpy as np
import onnx
from onnx import numpy_helper

PARE = os.environ["PARE"]
MODEL = pathlib.Path(__file__).parents[2] / "models" / "fashion-cnn.onnx"


def pare(*arguments, code=0):
    done = subprocess.run([PARE, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    if done.returncode != code:
        raise AssertionError(f"exit {done.returncode}, expected {code}: {arguments}\n{done.stdout}{done.stderr}")
    return done


def entropy_bytes(values):
    """Order-0 entropy of the array's values."""
    counts = np.unique(values, return_counts=True)[1]
    return float(-(counts * np.log2(counts / counts.sum())).sum() / 8)


def weight_codes(path):
    tensors = {t.name: numpy_helper.to_array(t).astype(np.int8) for t in onnx.load(path).graph.initializer if t.data_type == onnx.TensorProto.INT4}
    return {name: codes for name, codes in tensors.items() if codes.size >= 128}


class EntropyCode(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)

    def quantized(self, sparsity):
        """Pruned to that sparsity, then int4 a channel: as .onnx, .h5 and entropy-coded .h5."""
        pruned, small = self.folder / "pruned.onnx", [self.folder / name for name in ("q.onnx", "q.h5", "e.h5")]
        pare("prune", MODEL, "--sparsity", sparsity, "--importance", "magnitude", "--mask-only", "-o", pruned, "--force")
        options = ["--weights", "int4", "--granularity", "channel", "--force"]
        pare("quantize", pruned, *options, "-o", small[0], "-o", small[1])
        pare("quantize", pruned, *options, "-o", small[2], "--entropy-code")
        return small

    def test_the_payload_is_within_five_percent_of_the_entropy(self):
        for sparsity in (0.8, 0.95):
            model, packed, coded = self.quantized(sparsity)
            payload, entropy = 0, 0.0
            with h5py.File(coded) as file:
                sizes = {row["name"].decode(): int(row["bytes"]) for row in file["tensors/index"]}
            for name, codes in weight_codes(model).items():
                payload += sizes[name]
                entropy += entropy_bytes(codes != 0) + entropy_bytes(codes[codes != 0])
            print(f"sparsity {sparsity}: codes {payload} bytes, their entropy {entropy:.0f}; whole file {coded.stat().st_size} bytes, "
                  f"{packed.stat().st_size} without --entropy-code, ONNX {model.stat().st_size}")
            self.assertLessEqual(payload, 1.05 * entropy)
            self.assertLess(coded.stat().st_size, packed.stat().st_size)
        self.assertLessEqual(coded.stat().st_size, 8192)

    def test_the_codes_come_back(self):
        model, packed, coded = self.quantized(0.9)
        for path in (packed, coded):
            back = self.folder / "back.onnx"
            pare("convert", path, back, "--check", "--force")
            for name, codes in weight_codes(model).items():
                self.assertTrue(np.array_equal(weight_codes(back)[name], codes), name)
        self.assertEqual(subprocess.run([PARE, "convert", packed, self.folder / "a.onnx"]).returncode, 0)
        self.assertEqual((self.folder / "a.onnx").read_bytes(), model.read_bytes())

    def test_every_training_command_writes_what_comes_back(self):
        training = ["--data", "/usr/share/datasets/fashion-mnist", "--limit", 256, "--steps", 2, "--batch", 64, "--device", "cpu", "-q"]
        for command in (["distill", MODEL, "--teacher", "none"], ["prune", MODEL, "--sparsity", 0.5], ["qat", MODEL, "--teacher", "none"]):
            plain, coded, back = (self.folder / (command[0] + end) for end in (".onnx", ".h5", ".back.onnx"))
            pare(*command, *training, "-o", plain, "-o", coded, "--entropy-code")
            pare("convert", coded, back, "--check")
            self.assertEqual(back.read_bytes(), plain.read_bytes(), command[0])
            with h5py.File(coded) as file:
                self.assertTrue(any(row["values"].startswith(b"rans:") for row in file["tensors/index"]), command[0])

    def test_only_hdf5_is_entropy_coded(self):
        for command in (["prune", MODEL, "--sparsity", 0.5, "--importance", "magnitude", "--mask-only"], ["quantize", MODEL], ["convert", MODEL]):
            out = [self.folder / "a.onnx"] if command[0] == "convert" else ["-o", self.folder / "a.onnx"]
            self.assertIn("--entropy-code: no output is HDF5", pare(*command, *out, "--entropy-code", code=2).stderr)


if __name__ == "__main__":
    unittest.main()
