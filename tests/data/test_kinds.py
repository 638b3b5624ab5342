"""The kinds of data through the whole program: `evaluate --save-outputs` against numpy."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import h5py
import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

PARE = os.environ["PARE"]
RANDOM = numpy.random.default_rng(3)


def pare(*arguments, code=0):
    done = subprocess.run([PARE, *map(str, arguments)], capture_output=True, text=True, timeout=120)
    if done.returncode != code:
        raise AssertionError(f"exit {done.returncode}, expected {code}: pare {arguments}\n{done.stdout}{done.stderr}")
    return done


def save(path, nodes, inputs, outputs, constants=()):
    graph = helper.make_graph(nodes, "g", inputs, outputs, [numpy_helper.from_array(array, name) for name, array in constants])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def value(name, dtype, shape):
    return helper.make_tensor_value_info(name, dtype, shape)


class Kinds(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)
        # score[N,3] = table[ids].mean(1) + x * rate, ids int64 [N,4], x float [N,3], rate int32 scalar
        cls.table = RANDOM.normal(size=(10, 3)).astype(numpy.float32)
        cls.model = cls.folder / "three.onnx"
        save(
            cls.model,
            [
                helper.make_node("Gather", ["table", "ids"], ["rows"]),
                helper.make_node("ReduceMean", ["rows"], ["mean"], axes=[1], keepdims=0),
                helper.make_node("Cast", ["rate"], ["factor"], to=TensorProto.FLOAT),
                helper.make_node("Mul", ["x", "factor"], ["scaled"]),
                helper.make_node("Add", ["mean", "scaled"], ["score"]),
            ],
            [value("ids", TensorProto.INT64, ["N", 4]), value("x", TensorProto.FLOAT, ["N", 3]), value("rate", TensorProto.INT32, [])],
            [value("score", TensorProto.FLOAT, ["N", 3])],
            [("table", cls.table)],
        )
        cls.ids = RANDOM.integers(0, 10, (7, 4))
        cls.x = RANDOM.normal(size=(7, 3)).astype(numpy.float32)
        cls.rate = numpy.int64(3)
        cls.expected = cls.table[cls.ids].mean(axis=1) + cls.x * 3
        cls.labels = cls.expected.argmax(axis=1)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def outputs(self, data, *options, model=None):
        saved = self.folder / "outputs.npz"
        done = pare("evaluate", model or self.model, "--data", data, "--runtime", "pare", "--save-outputs", saved, "--force", "--report", "-", *options)
        with numpy.load(saved) as arrays:
            return {name: arrays[name] for name in arrays.files}, json.loads(done.stdout).get("metrics", {})

    def check(self, data, *options):
        outputs, metrics = self.outputs(data, *options)
        numpy.testing.assert_allclose(outputs["score"], self.expected, rtol=1e-5, atol=1e-6)
        return metrics

    def test_npz_stored_deflated_and_in_other_types_and_orders(self):
        path = self.folder / "a.npz"
        numpy.savez(path, ids=self.ids, x=self.x, rate=self.rate, labels=self.labels)
        self.assertEqual(self.check(path, "--batch", 3)["accuracy"], 1)
        numpy.savez_compressed(path, ids=self.ids.astype(">i4"), x=numpy.asfortranarray(self.x.astype(numpy.float64)), rate=numpy.uint8(3))
        self.assertNotIn("accuracy", self.check(path))

    def test_bindings_and_labels_by_name(self):
        path = self.folder / "named.npz"
        numpy.savez(path, tokens=self.ids, x=self.x, rate=self.rate, truth=self.labels, unused=self.x)
        self.assertEqual(self.check(path, "--input", "ids=tokens", "--labels", "truth")["accuracy"], 1)
        self.assertIn("give --input ids=KEY", pare("evaluate", self.model, "--data", path, code=3).stderr)
        self.assertIn("no binding", pare("evaluate", self.model, "--data", path, "--input", "ids", code=2).stderr)
        self.assertIn("did you mean 'truth'", pare("evaluate", self.model, "--data", path, "--labels", "truht", code=2).stderr)

    def test_parts_of_an_npz(self):
        path = self.folder / "parts.npz"
        numpy.savez(path, ids_test=self.ids, x_test=self.x, labels_test=self.labels, ids_train=self.ids[:2], x_train=self.x[:2], labels_train=self.labels[:2], rate=self.rate)
        self.check(path)
        outputs, _ = self.outputs(path, "--split", "train")
        self.assertEqual(len(outputs["score"]), 2)

    def test_hdf5_chunked_compressed_and_in_groups(self):
        path = self.folder / "a.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset("inputs/ids", data=self.ids.astype(">i2"), chunks=(2, 4), compression="gzip")
            file["x"] = self.x.astype(numpy.float64)
            file["rate"] = numpy.int8(3)
            file["labels"] = self.labels
            file["note"] = "text is left out"
        self.assertEqual(self.check(path, "--input", "ids=inputs/ids")["accuracy"], 1)

    def test_hdf5_bool_and_half(self):
        model = self.folder / "bool.onnx"
        save(model, [helper.make_node("Where", ["b", "h", "z"], ["y"])], [value("b", TensorProto.BOOL, ["N", 2]), value("h", TensorProto.FLOAT16, ["N", 2])],
             [value("y", TensorProto.FLOAT16, ["N", 2])], [("z", numpy.float16([0]))])
        b, h = RANDOM.integers(0, 2, (4, 2)).astype(bool), RANDOM.normal(size=(4, 2)).astype(numpy.float16)
        path = self.folder / "bool.h5"
        with h5py.File(path, "w") as file:
            file["b"], file["h"] = b, h
        outputs, _ = self.outputs(path, model=model)
        numpy.testing.assert_array_equal(outputs["y"], numpy.where(b, h, numpy.float16(0)))

    def test_npy_is_bound_to_the_only_input(self):
        model = self.folder / "double.onnx"
        save(model, [helper.make_node("Add", ["x", "x"], ["y"])], [value("x", TensorProto.FLOAT, [2, 3])], [value("y", TensorProto.FLOAT, [2, 3])])
        numpy.save(self.folder / "pixels.npy", numpy.arange(15, dtype=numpy.uint8).reshape(5, 3))
        outputs, _ = self.outputs(self.folder / "pixels.npy", model=model)  # batches of 2, the last one filled up
        numpy.testing.assert_array_equal(outputs["y"], numpy.arange(15, dtype=numpy.float32).reshape(5, 3) / numpy.float32(255) * 2)
        outputs, _ = self.outputs(self.folder / "pixels.npy", "--scale", "1", "--mean", "5", "--std", "0.5", model=model)
        numpy.testing.assert_array_equal(outputs["y"], (numpy.arange(15, dtype=numpy.float32).reshape(5, 3) - 5) * 4)

    def test_a_state_is_no_samples(self):
        """As silero-vad: input [1,576], state [2,1,128] for all samples, a scalar; with as many samples as the state has rows, fewer and more."""
        model = self.folder / "voice.onnx"
        save(
            model,
            [
                helper.make_node("ReduceSum", ["state"], ["all"], keepdims=0),
                helper.make_node("Cast", ["sr"], ["rate"], to=TensorProto.FLOAT),
                helper.make_node("Mul", ["all", "rate"], ["shift"]),
                helper.make_node("Add", ["input", "shift"], ["y"]),
            ],
            [value("input", TensorProto.FLOAT, [1, 576]), value("state", TensorProto.FLOAT, [2, 1, 128]), value("sr", TensorProto.INT64, [])],
            [value("y", TensorProto.FLOAT, [1, 576])],
        )
        state = RANDOM.normal(size=(2, 1, 128)).astype(numpy.float32)
        for samples in (1, 2, 3):
            wave = RANDOM.normal(size=(samples, 576)).astype(numpy.float32)
            numpy.savez(self.folder / "voice.npz", state=state, input=wave, sr=numpy.int64(2))
            outputs, _ = self.outputs(self.folder / "voice.npz", model=model)
            numpy.testing.assert_allclose(outputs["y"], wave + 2 * state.sum(), rtol=1e-4, atol=1e-4)

    def write_sets(self, count):
        for i in range(count):
            folder = self.folder / "sets" / f"test_data_set_{i}"
            folder.mkdir(parents=True, exist_ok=True)
            for kind, number, name, array in [("input", 0, "ids", self.ids[i : i + 1]), ("input", 1, "", self.x[i : i + 1]), ("input", 2, "rate", numpy.int32(3)), ("output", 0, "score", self.expected[i : i + 1])]:
                (folder / f"{kind}_{number}.pb").write_bytes(numpy_helper.from_array(numpy.asarray(array), name).SerializeToString())
        return self.folder / "sets"

    def test_onnx_test_data_sets(self):
        outputs, _ = self.outputs(self.write_sets(7))
        numpy.testing.assert_allclose(outputs["score"], self.expected, rtol=1e-5, atol=1e-6)
        broken = self.folder / "sets" / "test_data_set_3" / "input_1.pb"
        broken.write_bytes(broken.read_bytes()[:-5])
        self.assertIn(str(broken), pare("evaluate", self.model, "--data", self.folder / "sets", code=3).stderr)
        broken.write_bytes(numpy_helper.from_array(self.x[:2]).SerializeToString())
        self.assertIn("differs from the first set", pare("evaluate", self.model, "--data", self.folder / "sets", code=3).stderr)

    def test_broken_files_name_themselves(self):
        path = self.folder / "broken.npz"
        numpy.savez_compressed(path, ids=self.ids, x=self.x, rate=self.rate)
        whole = path.read_bytes()
        path.write_bytes(whole[:100] + whole[120:])
        self.assertIn(str(path), pare("evaluate", self.model, "--data", path, code=3).stderr)
        hdf5 = self.folder / "broken.h5"
        with h5py.File(hdf5, "w") as file:
            file["x"] = self.x
        hdf5.write_bytes(hdf5.read_bytes()[:1200])
        self.assertIn(str(hdf5), pare("evaluate", self.model, "--data", hdf5, code=3).stderr)


if __name__ == "__main__":
    unittest.main()
