"""Operators of com.microsoft against ONNX Runtime."""
import os
import pathlib
import subprocess
import tempfile
import unittest

import numpy
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

RUNNER = pathlib.Path(os.environ["PARE"]).parent / "tests" / "conformance"
random = numpy.random.default_rng(11)


def reals(*shape):
    return random.standard_normal(shape).astype(numpy.float32)


class Microsoft(unittest.TestCase):
    def agrees(self, op, inputs, constants=(), outputs=1, **attributes):
        """Inputs by position, None where left out; those at the positions in `constants` are initializers."""
        names = ["" if value is None else f"i{i}" for i, value in enumerate(inputs)]
        fed = [i for i, value in enumerate(inputs) if value is not None and i not in constants]
        out = [f"y{i}" for i in range(outputs)] if isinstance(outputs, int) else outputs
        node = helper.make_node(op, names, out, domain="com.microsoft", **attributes)
        ports = [helper.make_tensor_value_info(names[i], helper.np_dtype_to_tensor_dtype(inputs[i].dtype), inputs[i].shape) for i in fed]
        results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in out if name]
        tensors = [numpy_helper.from_array(inputs[i], names[i]) for i in constants]
        graph = helper.make_graph([node], "g", ports, results, tensors)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)], ir_version=10)
        expected = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(
            None, {names[i]: inputs[i] for i in fed})
        with tempfile.TemporaryDirectory() as temporary:
            case = pathlib.Path(temporary) / "case"
            case.mkdir()
            (case / "model.onnx").write_bytes(model.SerializeToString())
            for kind, values in (("input", [inputs[i] for i in fed]), ("output", expected)):
                for index, value in enumerate(values):
                    (case / f"{kind}_{index}.pb").write_bytes(numpy_helper.from_array(value).SerializeToString())
            (case / "tolerances.txt").write_text("1e-4 1e-4\n")
            done = subprocess.run([RUNNER, temporary], capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout, "pass case\n")

    def test_products_with_weights_in_blocks(self):
        k, n, block = 70, 9, 32
        blocks = (k + block - 1) // block
        for bits in (4, 8):
            weight = random.integers(0, 256, (n, blocks, block * bits // 8)).astype(numpy.uint8)
            scales = (0.01 + random.random(n * blocks)).astype(numpy.float32)
            zeros = random.integers(0, 256, n * ((blocks * bits + 7) // 8)).astype(numpy.uint8)
            for zero in (None, zeros):
                with self.subTest(bits=bits, zeros=zero is not None):
                    # accuracy_level 1: ONNX Runtime leaves x in fp32
                    self.agrees("MatMulNBits", [reals(2, 3, k), weight, scales, zero], constants=(1, 2) if zero is None else (1, 2, 3),
                                K=k, N=n, bits=bits, block_size=block, accuracy_level=1)

    def test_skipped_normalizations(self):
        x, skip, gamma, beta, bias = reals(2, 5, 8), reals(2, 5, 8), reals(8), reals(8), reals(8)
        self.agrees("SkipLayerNormalization", [x, skip, gamma, beta, bias], outputs=["y", "", "", "sum"], epsilon=1e-3)
        self.agrees("SkipLayerNormalization", [x, skip, gamma], epsilon=1e-3)
        self.agrees("SkipSimplifiedLayerNormalization", [x, skip, gamma, bias], outputs=["y", "", "", "sum"], epsilon=1e-3)

    def test_gelus(self):
        x, bias = 3 * reals(4, 6), reals(6)
        self.agrees("BiasGelu", [x, bias])
        self.agrees("FastGelu", [x, bias])
        self.agrees("FastGelu", [x])
        self.agrees("Gelu", [x])
        self.agrees("QuickGelu", [x], alpha=1.5)

    def test_fused_product(self):
        self.agrees("FusedMatMul", [reals(2, 5, 3), reals(2, 4, 5)], transA=1, transB=1, alpha=0.5)


if __name__ == "__main__":
    unittest.main()
