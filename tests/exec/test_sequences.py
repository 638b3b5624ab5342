"""Sequences and optional values: what follows from constants and sizes runs as tensors, the rest is refused by name."""
import pathlib
import subprocess
import os
import tempfile
import unittest

import numpy
from onnx import TensorProto, helper, numpy_helper
from operator_cases import run_cases, session, write_case

PARE = os.environ["PARE"]
x = numpy.arange(42, dtype=numpy.float32).reshape(2, 7, 3)
y = -x


def integer(name, value):
    return numpy_helper.from_array(numpy.array(value, numpy.int64), name)


def model_of(nodes, constants=(), outputs=("out",), dims=(("x", x.shape), ("y", y.shape))):
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in dims]
    graph = helper.make_graph(nodes, "g", ports, [helper.make_empty_tensor_value_info(name) for name in outputs], list(constants))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()


def node(op, inputs, outputs="out", **attributes):
    return helper.make_node(op, inputs, [outputs], name=f"{op}_{outputs}", **attributes)


BOTH = node("SequenceConstruct", ["x", "y", "x"], "s")
OPEN = (("x", ("n", "t", 3)), ("y", ("n", "t", 3)))

CASES = {
    "at": model_of([BOTH, node("SequenceAt", ["s", "p"])], [integer("p", 1)]),
    "at_from_end": model_of([BOTH, node("SequenceAt", ["s", "p"])], [integer("p", -2)]),
    "length": model_of([BOTH, node("SequenceLength", ["s"])]),
    "concat": model_of([BOTH, node("ConcatFromSequence", ["s"], axis=1)]),
    "concat_last": model_of([BOTH, node("ConcatFromSequence", ["s"], axis=-1)]),
    "stack": model_of([BOTH, node("ConcatFromSequence", ["s"], axis=1, new_axis=1)]),
    "stack_last": model_of([BOTH, node("ConcatFromSequence", ["s"], axis=-1, new_axis=1)]),
    "insert": model_of([node("SequenceEmpty", [], "e"), node("SequenceInsert", ["e", "x"], "a"), node("SequenceInsert", ["a", "y", "p"], "b"),
                        node("SequenceInsert", ["b", "x"], "c"), node("ConcatFromSequence", ["c"], axis=0)], [integer("p", 0)]),
    "erase": model_of([BOTH, node("SequenceErase", ["s", "p"], "t"), node("ConcatFromSequence", ["t"], axis=0)], [integer("p", 0)]),
    "erase_last": model_of([BOTH, node("SequenceErase", ["s"], "t"), node("ConcatFromSequence", ["t"], axis=0)]),
    "split": model_of([node("SplitToSequence", ["x", "n"], "s", axis=1), node("SequenceAt", ["s", "p"])], [integer("n", 3), integer("p", 2)]),
    "split_sizes": model_of([node("SplitToSequence", ["x", "n"], "s", axis=-2), node("SequenceAt", ["s", "p"])], [integer("n", [1, 4, 2]), integer("p", 1)]),
    "split_ones": model_of([node("SplitToSequence", ["x"], "s", axis=1, keepdims=0), node("SequenceAt", ["s", "p"], "a"), node("SequenceLength", ["s"], "n"),
                            node("ConcatFromSequence", ["s"], "b", axis=0, new_axis=1)], [integer("p", -3)], ("a", "n", "b")),
    "split_open": model_of([node("SplitToSequence", ["x"], "s", axis=1, keepdims=0), node("SequenceAt", ["s", "p"], "a"), node("SequenceLength", ["s"], "n"),
                            node("ConcatFromSequence", ["s"], "b", axis=1, new_axis=1)], [integer("p", -3)], ("a", "n", "b"), OPEN),
    "split_open_kept": model_of([node("SplitToSequence", ["x"], "s", axis=1), node("SequenceAt", ["s", "p"], "a"),
                                 node("ConcatFromSequence", ["s"], "b", axis=1)], [integer("p", 4)], ("a", "b"), OPEN),
    "split_open_parts": model_of([node("SplitToSequence", ["x", "n"], "s", axis=1), node("SequenceAt", ["s", "p"])],
                                 [integer("n", 3), integer("p", 2)], dims=OPEN),
    "split_twice": model_of([node("SplitToSequence", ["x"], "s", axis=0, keepdims=0), node("SequenceAt", ["s", "p"], "a"),
                             node("SplitToSequence", ["a", "n"], "t", axis=0), node("SequenceAt", ["t", "p"])], [integer("p", 1), integer("n", 4)]),
    "position_of_size": model_of([BOTH, node("SequenceLength", ["s"], "n"), node("Sub", ["n", "p"], "last"), node("SequenceAt", ["s", "last"])],
                                 [integer("p", 2)]),
    "same": model_of([BOTH, node("Identity", ["s"], "t"), node("SequenceAt", ["t", "p"])], [integer("p", 1)]),
    "optional": model_of([node("Optional", ["y"], "o"), node("OptionalHasElement", ["o"], "has"), node("OptionalGetElement", ["o"], "a")], (), ("has", "a")),
    "optional_tensor": model_of([node("OptionalHasElement", ["y"], "has"), node("OptionalGetElement", ["y"], "a")], (), ("has", "a")),
}


class Sequences(unittest.TestCase):
    def test_equal_to_onnx_runtime(self):
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary)
            for name, model in CASES.items():
                expected = session(model).run(None, {"x": x, "y": y})
                write_case(folder / name, model, [x, y], expected, ["0 0"])
            self.assertEqual(run_cases(folder), [f"pass {name}" for name in sorted(CASES)])

    def refused(self, model, *words):
        with tempfile.TemporaryDirectory() as temporary:
            path = pathlib.Path(temporary) / "model.onnx"
            path.write_bytes(model)
            numpy.savez(pathlib.Path(temporary) / "data.npz", x=x, y=y)
            done = subprocess.run([PARE, "evaluate", path, "--data", pathlib.Path(temporary) / "data.npz", "--runtime", "pare"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def test_what_cannot_be_followed_is_refused_by_name(self):
        computed = [node("ReduceMax", ["x"], "m", keepdims=0), node("Cast", ["m"], "p", to=TensorProto.INT64)]
        self.refused(model_of([*computed, BOTH, node("SequenceAt", ["s", "p"])]), "SequenceAt", "not supported")
        self.refused(model_of([BOTH, node("SequenceAt", ["s", "p"])], [integer("p", 3)]), "SequenceAt_out", "position 3 of a sequence of 3 tensors")
        self.refused(model_of([node("Optional", [], "o", type=helper.make_tensor_type_proto(TensorProto.FLOAT, x.shape)), node("OptionalGetElement", ["o"]),
                               ]), "OptionalGetElement_out", "empty")


if __name__ == "__main__":
    unittest.main()
