"""Real models as ONNX Runtime's quantizers write them: pare lists every operator as supported, and its executor gives what ONNX Runtime gives
without optimisations. Networks of rounded values amplify a step here and there, so that outputs are compared as a whole."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import numpy
from operator_cases import session, write_case
from quantizer_files import operators, quantized
from test_models import MODELS, PACKAGES, feed

PARE = os.environ["PARE"]
FORMS = ("dynamic", "static", "static-uint8", "static-int8")


def decibels(expected, got):
    """The signal over the difference."""
    noise = float(((expected.astype(numpy.float64) - got) ** 2).sum())
    return numpy.inf if noise == 0 else 10 * numpy.log10(float((expected.astype(numpy.float64) ** 2).sum()) / noise)


class QuantizedModels(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)

    def pare(self, *arguments):
        report = self.folder / "report.json"
        subprocess.run([PARE, *arguments, "--report", report], check=True, capture_output=True, text=True, timeout=300)
        return json.loads(report.read_text())

    def check(self, name, form, least):
        path, shape = MODELS[name]
        source = PACKAGES / path
        ports = [port.name for port in session(str(source)).get_inputs()]
        inputs = {port: feed(name, shape)[port] for port in ports}
        target = self.folder / f"{name}-{form}.onnx"
        quantized(source, target, form, [inputs])
        inspected = self.pare("inspect", target)
        self.assertEqual(inspected["model"]["unsupported"], [])
        write_case(self.folder / f"{name}-{form}" / "test_data_set_0", b"", inputs, [], [])
        self.pare("evaluate", target, "--data", self.folder / f"{name}-{form}", "--runtime", "pare", "--save-outputs", self.folder / "out.npz", "--force")
        got = numpy.load(self.folder / "out.npz")
        run = session(str(target))
        for port, expected in zip(run.get_outputs(), run.run(None, inputs)):
            found = decibels(expected, got[port.name].reshape(expected.shape))
            print(f"{name} {form} {port.name}: {found:.1f} dB")
            self.assertGreaterEqual(found, least, f"{name} {form} {port.name}")
        return operators(target)

    def test_dynamic(self):
        """Products of integers: what is left to rounding are the ranges of what they are fed."""
        seen = set()
        for name in MODELS:
            if name != "voice_openvino":  # its weights are outputs of Ifs
                seen |= self.check(name, "dynamic", 35)
        self.assertLessEqual({"ConvInteger", "MatMulInteger", "DynamicQuantizeLinear", "com.microsoft.DynamicQuantizeLSTM"}, seen)

    def test_static(self):
        seen = set()
        for name, form in (("minilm", "static"), ("magika", "static-uint8"), ("ocr_classifier", "static"), ("ocr_classifier", "static-int8"),
                           ("ocr_recogniser", "static"), ("ocr_detector", "static-uint8"), ("voice_op15", "static"), ("voice_sequence", "static-uint8")):
            seen |= self.check(name, form, 20)
        microsoft = {f"com.microsoft.QLinear{op}" for op in ("Add", "Mul", "Concat", "Sigmoid", "Softmax")}
        self.assertLessEqual({"QLinearConv", "QLinearMatMul", *microsoft}, seen)


if __name__ == "__main__":
    unittest.main()
