"""HDF5 models: h5py and numpy, with the code that formats/README.md shows, read what `pare convert` wrote; the way back is the identity."""

import hashlib
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import h5py
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

README = pathlib.Path(__file__).parents[2] / "formats" / "README.md"


def reader_of_readme():
    code = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL).group(1)
    names = {}
    exec(code, names)
    return names["tensor"]


def sparse(random, shape, dtype, kept):
    array = (random.standard_normal(shape) * 9 + 1).astype(dtype)
    array[random.random(shape) >= kept] = 0
    return array


def neighbours(random, shape, inner, n, m):
    """At most n of each m neighbours, at distance `inner`, are not zero; the axes from the second on are one where inner is 1."""
    array = random.standard_normal(shape).astype(np.float32) + 3
    length = int(np.prod(shape[1:])) if inner == 1 else shape[-2]
    view = array.reshape(-1, length, inner)
    for begin in range(0, length, m):
        order = np.argsort(random.random(view[:, begin:begin + m].shape), axis=1)
        np.put_along_axis(view[:, begin:begin + m], order[:, n:], 0, axis=1)
    return array


def example(random):
    """Arrays by name: all layouts, several types, odd sizes, and values whose bits matter."""
    special = sparse(random, (11, 13), np.float32, 0.1)
    special[0, :4] = [-0.0, np.nan, np.inf, np.float32(1e-45)]
    return {
        "conv.weight": sparse(random, (16, 3, 3, 3), np.float32, 0.2),
        "dense.weight": sparse(random, (10, 48), np.float32, 1.0),
        "special": special,
        "half": sparse(random, (1023,), np.float16, 0.3),
        "double": sparse(random, (17, 5), np.float64, 0.5),
        "int8": sparse(random, (999,), np.int8, 0.4),
        "table": sparse(random, (77,), np.int64, 0.5),
        "flags": random.random((9, 31)) < 0.05,
        "csr": sparse(random, (40, 300), np.float32, 0.02),
        "csr.row": sparse(random, (5000,), np.float64, 0.01),
        "csr.narrow": sparse(random, (60, 3, 5, 5), np.float16, 0.02),
        "two.of.four": neighbours(random, (16, 8, 3, 3), 1, 2, 4),
        "one.of.four": neighbours(random, (9, 33), 1, 1, 4),
        "four.of.eight": neighbours(random, (40, 50), 50, 4, 8),
        "batched": neighbours(random, (3, 20, 7), 7, 1, 4),
        "one": np.ones((1,) * 5 + (64,), np.float32),
        "codes": np.clip(random.standard_normal((33, 65)) * 3, -8, 7.9).astype(np.int8) | np.int8(1),
        "codes.sparse": sparse(random, (30, 50), np.int8, 0.2) // 16,
        "codes.csr": sparse(random, (8, 700), np.int8, 0.02) // 8,
        "codes.two.of.four": np.sign(neighbours(random, (16, 8, 3, 3), 1, 2, 4)).astype(np.int8),
        "bias": random.integers(-5000, 5000, (48,)).astype(np.int32),
        "step": (random.random(48) * 0.01 + 0.01).astype(np.float32),
        "scalar": np.float32(3.5),
        "nothing": np.zeros((0, 4), np.float32),
    }


def model_of(arrays, constants=()):
    """A model whose initializers are the arrays; those in `constants` are Constant nodes."""
    nodes = [helper.make_node("Constant", [], [name], value=numpy_helper.from_array(arrays[name])) for name in constants]
    nodes.append(helper.make_node("Identity", ["x"], ["y"]))
    initializers = [numpy_helper.from_array(array, name) for name, array in arrays.items() if name not in constants]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g", [value("x", TensorProto.FLOAT, [1])], [value("y", TensorProto.FLOAT, [1])], initializers
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])


class H5pyTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.arrays = example(np.random.default_rng(1))
        self.arrays["bias.step"] = self.arrays["step"] * np.float32(0.0373)
        self.model = model_of(self.arrays, constants=["table", "special"])
        self.onnx = self.folder / "in.onnx"
        onnx.save(self.model, self.onnx)

    def pare(self, *arguments, code=0):
        command = [os.environ["PARE"], *map(str, arguments)]
        result = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(result.returncode, code, result.stderr)
        return result

    def convert(self, name="a.h5", *options):
        target = self.folder / name
        self.pare("convert", self.onnx, target, *options)
        return target

    def read_all(self, path):
        tensor, forms = reader_of_readme(), set()
        with h5py.File(path) as file:
            rows = {row["name"].decode(): row for row in file["tensors/index"]}
        for name, row in rows.items():
            expected = self.arrays[name]
            actual = tensor(path, name)
            self.assertEqual((actual.dtype, actual.shape), (expected.dtype, expected.shape), name)
            self.assertEqual(actual.tobytes(), expected.tobytes(), name)
            self.assertEqual(row["sha256"].tobytes(), hashlib.sha256(expected.tobytes()).digest()[:4], name)
            forms.add((row["layout"].decode(), row["values"].decode()))
        self.assertEqual(set(self.arrays) - set(rows), {"scalar", "nothing"})
        return forms

    def test_the_code_of_the_readme_reads_every_tensor_bit_for_bit(self):
        forms = self.read_all(self.convert())
        self.assertEqual({layout for layout, values in forms if values == "raw"}, {"dense", "bitmask", "csr", "2:4", "1:4", "4:8"})
        self.assertLessEqual({("dense", "packed:4"), ("bitmask", "packed:7"), ("csr", "packed:3"), ("2:4", "packed:2"), ("dense", "packed:14")}, forms)
        self.assertEqual(sum(values.startswith("scaled:") for _, values in forms), 1)

    def test_entropy_coded_tensors_too(self):
        path = self.convert("small.h5", "--entropy-code")
        forms = self.read_all(path)
        self.assertLessEqual({("dense", "rans:4"), ("2:4", "rans:2"), ("dense", "rans:32"), ("dense", "rans:16")}, forms)
        self.assertLess(path.stat().st_size, self.convert().stat().st_size)
        self.pare("convert", path, self.folder / "back.onnx", "--check")
        self.assertEqual((self.folder / "back.onnx").read_bytes(), self.onnx.read_bytes())
        self.assertEqual(path.read_bytes(), self.convert("again.h5", "--entropy-code").read_bytes())
        self.assertIn("no output is HDF5", self.pare("convert", path, self.folder / "b.onnx", "--entropy-code", code=2).stderr)

    def test_a_damaged_stream_is_an_error_that_names_the_tensor(self):
        path = self.convert("small.h5", "--entropy-code")
        whole = path.read_bytes()
        with h5py.File(path) as file:
            row = next(row for row in file["tensors/index"] if row["name"] == b"codes")
            begin = file["tensors/data"].id.get_offset() + int(row["offset"])
        for at in range(0, int(row["bytes"]), 97):
            damaged = bytearray(whole)
            damaged[begin + at] ^= 0x55
            path.write_bytes(damaged)
            self.assertIn("tensor 'codes'", self.pare("convert", path, "--check", code=3).stderr)

    def test_the_graph_is_the_onnx_without_those_tensors(self):
        with h5py.File(self.convert()) as file:
            self.assertEqual(dict(file.attrs)["format"], b"pare")
            self.assertEqual(file.attrs["onnx_sha256"].decode(), hashlib.sha256(self.onnx.read_bytes()).hexdigest())
            graph = onnx.ModelProto.FromString(file["graph"][:].tobytes())
            moved = {row["name"].decode() for row in file["tensors/index"]}
        for tensor in graph.graph.initializer:
            self.assertEqual(tensor.HasField("raw_data"), tensor.name not in moved, tensor.name)

    def test_back_to_onnx_is_the_identity(self):
        self.pare("convert", self.convert(), self.folder / "back.onnx", "--check")
        self.assertEqual((self.folder / "back.onnx").read_bytes(), self.onnx.read_bytes())

    def test_typed_and_external_data_keep_their_values(self):
        typed = helper.make_tensor("typed", TensorProto.FLOAT, [40], [float(i % 3) for i in range(40)])
        packed = helper.make_tensor("int4", TensorProto.INT4, [257], [i % 15 - 7 for i in range(257)])
        bfloat = helper.make_tensor("bfloat", TensorProto.BFLOAT16, [90], [float(i) for i in range(90)])
        self.model.graph.initializer.extend([typed, packed, bfloat])
        onnx.save(self.model, self.onnx, save_as_external_data=True, location="weights.bin", size_threshold=100)
        self.pare("convert", self.convert(), self.folder / "sub.onnx")
        (self.folder / "weights.bin").rename(self.folder / "gone.bin")
        onnx.load(self.folder / "sub.onnx")
        written = {t.name: t for t in onnx.load(self.folder / "sub.onnx").graph.initializer}
        for tensor in self.model.graph.initializer:
            if tensor.name in ("typed", "int4", "bfloat"):
                expected, actual = numpy_helper.to_array(tensor), numpy_helper.to_array(written[tensor.name])
                self.assertEqual(actual.tobytes(), expected.tobytes(), tensor.name)
        for name in ("conv.weight", "half", "flags"):
            self.assertEqual(numpy_helper.to_array(written[name]).tobytes(), self.arrays[name].tobytes(), name)

    def test_metadata_and_lineage(self):
        for key, value in (("zone", "z"), ("pare.lineage", '[{"command":"prune"}]'), ("pare.mask", '["conv.weight"]'), ("a", "b")):
            self.model.metadata_props.add(key=key, value=value)
        onnx.save(self.model, self.onnx)
        path = self.convert()
        with h5py.File(path) as file:
            self.assertEqual(json.loads(file["lineage"][()]), [{"command": "prune"}])
            self.assertEqual(json.loads(file["masks"][()]), ["conv.weight"])
        small = self.convert("small.h5", "--entropy-code")
        with h5py.File(small) as file:
            graph = onnx.ModelProto.FromString(file["graph"][:].tobytes())
            self.assertEqual({p.key: p.value for p in graph.metadata_props}["pare.mask"], '["conv.weight"]')
        for file in (path, small):
            self.pare("convert", file, self.folder / "back.onnx", "--force")
            self.assertEqual((self.folder / "back.onnx").read_bytes(), self.onnx.read_bytes())

    def test_check_names_the_damaged_tensor(self):
        path = self.convert()
        self.assertIn("match", self.pare("convert", path, "--check").stdout)
        with h5py.File(path, "r+") as file:
            row = next(row for row in file["tensors/index"] if row["name"] == b"half")
            position = int(row["offset"]) + int(row["bytes"]) - 1
            file["tensors/data"][position] ^= 1
        result = self.pare("convert", path, "--check", code=3)
        self.assertRegex(result.stderr, r"^pare: .*a\.h5: tensor 'half': damaged")
        self.pare("convert", path, self.folder / "never.onnx", code=3)
        self.assertFalse((self.folder / "never.onnx").exists())

    def test_h5py_alone_dequantizes_weights_per_tensor_channel_and_block(self):
        random = np.random.default_rng(2)
        weight = random.standard_normal((96, 80)).astype(np.float32)
        value = helper.make_tensor_value_info
        graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"], name="product")], "g", [value("x", TensorProto.FLOAT, ["N", 96])],
                                  [value("y", TensorProto.FLOAT, ["N", 80])], [numpy_helper.from_array(weight, "w")])
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), self.onnx)
        tensor, path = reader_of_readme(), self.folder / "q.h5"
        for bits, granularity, options in ((4, "tensor", []), (3, "channel", []), (2, "block:32", []), (4, "channel", ["--entropy-code"])):
            self.pare("quantize", self.onnx, "--weights", f"int{bits}", "--granularity", granularity, "-o", path, "--force", *options)
            with h5py.File(path) as file:
                model = onnx.ModelProto.FromString(file["graph"][:].tobytes()).graph
                rows = {row["name"].decode(): row for row in file["tensors/index"]}
            node = next(node for node in model.node if node.op_type == "DequantizeLinear")
            small = {t.name: numpy_helper.to_array(t) for t in model.initializer if t.name not in rows}
            codes, scale = (tensor(path, name) if name in rows else small[name] for name in node.input)
            attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            if "block_size" in attributes:
                scale = np.repeat(scale, attributes["block_size"], attributes["axis"])
            elif scale.ndim:
                scale = scale.reshape([-1 if i == attributes["axis"] else 1 for i in range(2)])
            error = np.square(weight - codes * scale).sum() / np.square(weight).sum()
            self.assertLess(error, {4: 0.03, 3: 0.06, 2: 0.2}[bits])
            self.assertIn(rows["w_codes"]["values"].decode(), (f"packed:{bits}", "raw", f"rans:{bits}"))
            self.assertLessEqual(int(rows["w_codes"]["bytes"]), weight.size * bits / 8)

    def test_what_cannot_be_converted(self):
        self.convert()
        self.pare("convert", self.onnx, self.folder / "a.h5", code=2)
        self.pare("convert", self.onnx, self.folder / "a.h5", "--force")
        self.assertIn(".onnx, .h5, .hdf5", self.pare("convert", self.onnx, self.folder / "a.pt", code=2).stderr)
        self.pare("convert", self.onnx, code=2)
        self.pare("convert", self.onnx, "--check", code=2)
        self.pare("convert", self.folder / "missing.h5", self.folder / "b.onnx", code=2)
        (self.folder / "other.h5").write_bytes(b"something else")
        self.assertIn("not an HDF5 file", self.pare("convert", self.folder / "other.h5", self.folder / "b.onnx", code=3).stderr)


if __name__ == "__main__":
    unittest.main()
