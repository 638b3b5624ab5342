"""Single operators against ONNX Runtime: models of one node, run by the runner of conformance cases."""
import os
import pathlib
import subprocess
import tempfile
import unittest

import numpy
import onnxruntime
from onnx import helper, numpy_helper

RUNNER = pathlib.Path(os.environ["PARE"]).parent / "tests" / "conformance"


def session(model):
    """One thread, as some kernels quantize what a thread has at a time; no optimisations."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def write_case(folder, model, inputs, outputs, tolerances):
    """A folder in the layout of the runner. Inputs in a dictionary are named by their keys."""
    folder.mkdir(parents=True)
    names = list(inputs) if isinstance(inputs, dict) else None
    inputs = inputs.values() if isinstance(inputs, dict) else inputs
    (folder / "model.onnx").write_bytes(model)
    for kind, values in (("input", inputs), ("output", outputs)):
        for index, value in enumerate(values):
            name = names[index] if names is not None and kind == "input" else None
            (folder / f"{kind}_{index}.pb").write_bytes(numpy_helper.from_array(numpy.asarray(value), name).SerializeToString())
    (folder / "tolerances.txt").write_text("".join(f"{line}\n" for line in tolerances))


def run_cases(folder):
    """What the runner says of each case, in the order of their names; every graph goes through pare's writer once too."""
    with tempfile.TemporaryDirectory() as written:
        done = subprocess.run([RUNNER, folder, written], capture_output=True, text=True, timeout=300, check=True)
    return done.stdout.splitlines()


class OperatorCases(unittest.TestCase):
    """A test adds cases; all of them run at its end."""

    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        self.names = []

    def case(self, op, inputs, constants=(), outputs=1, tolerance="1e-4 1e-4", domain="com.microsoft", **attributes):
        """Inputs by position, None where left out; those at the positions in `constants` are initializers. `outputs`: how many, or their
        names, "" where left out."""
        inputs = [value if value is None else numpy.asarray(value) for value in inputs]
        names = ["" if value is None else f"i{i}" for i, value in enumerate(inputs)]
        fed = [i for i, value in enumerate(inputs) if value is not None and i not in constants]
        out = [f"y{i}" for i in range(outputs)] if isinstance(outputs, int) else outputs
        node = helper.make_node(op, names, out, domain=domain, **attributes)
        ports = [helper.make_tensor_value_info(names[i], helper.np_dtype_to_tensor_dtype(inputs[i].dtype), inputs[i].shape) for i in fed]
        results = [helper.make_empty_tensor_value_info(name) for name in out if name]
        tensors = [numpy_helper.from_array(inputs[i], names[i]) for i in constants]
        graph = helper.make_graph([node], "g", ports, results, tensors)
        opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
        expected = session(model).run(None, {names[i]: inputs[i] for i in fed})
        self.names.append(f"{op}_{len(self.names):03}")
        write_case(self.folder / self.names[-1], model, [inputs[i] for i in fed], expected, [tolerance])

    def tearDown(self):
        self.assertTrue(self.names, "a test without cases")
        self.assertEqual(run_cases(self.folder), [f"pass {name}" for name in sorted(self.names)])
