"""The element type that is inferred for every value, against onnx.shape_inference; at run time the conformance cases check it."""
import os
import pathlib
import subprocess
import tempfile
import unittest

import onnx
from quantizer_files import quantized
from test_models import MODELS, PACKAGES, feed

RUNNER = pathlib.Path(os.environ["PARE"]).parent / "tests" / "conformance"


def types_by_onnx(path):
    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    return {value.name: value.type.tensor_type.elem_type for value in [*graph.value_info, *graph.output]}


def types_by_pare(path):
    done = subprocess.run([RUNNER, "--types", path], capture_output=True, text=True, check=True)
    return {name: int(number) for name, number in (line.rsplit(" ", 1) for line in done.stdout.splitlines())}


class ElementTypes(unittest.TestCase):
    def check(self, path):
        expected, got = types_by_onnx(path), types_by_pare(path)
        self.assertEqual([name for name, kind in got.items() if kind == 0], [], "without a type")
        both = [name for name in expected if expected[name] != 0 and name in got]
        self.assertGreater(len(both), 2)  # of models with subgraphs it knows little
        self.assertEqual([(name, expected[name], got[name]) for name in both if expected[name] != got[name]], [])

    def test_real_models(self):
        for name, (path, _) in MODELS.items():
            with self.subTest(name):
                self.check(PACKAGES / path)

    def test_quantized_models(self):
        with tempfile.TemporaryDirectory() as temporary:
            for name in ("minilm", "voice_sequence"):
                target = pathlib.Path(temporary) / f"{name}.onnx"
                path, shape = MODELS[name]
                ports = [port.name for port in onnx.load(PACKAGES / path).graph.input]
                for form in ("dynamic", "static"):
                    with self.subTest(name, form=form):
                        quantized(PACKAGES / path, target, form, [{port: feed(name, shape)[port] for port in ports}])
                        self.check(target)


if __name__ == "__main__":
    unittest.main()
