"""The node cases of the ONNX project's backend tests, run through pare's executor: all of them pass for every operator that pare has,
or stand in `listed` with the reason."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import numpy
import onnx
import onnxruntime
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases

CACHE = pathlib.Path(os.environ.get("PARE_CACHE", pathlib.Path.home() / ".cache" / "pare")) / f"onnx-node-cases-{onnx.__version__}"
RUNNER = pathlib.Path(os.environ["PARE"]).parent / "tests" / "conformance"

# Element types that ATen does not calculate with; a case that needs one is refused by name.
UNSUPPORTED_TYPE = re.compile(
    r"element type (float4e2m1|string) cannot be executed|element type type (24|25|26) is not one of ONNX's"
)

# By the beginning of the case's name.
listed = {
    **{f"test_attention_{form}": "16-bit results are rounded at other places"
       for form in ("3d_causal_bf16", "4d_attn_mask_causal_bf16", "4d_causal_bf16", "4d_causal_fp16", "4d_causal_padded_kv_bf16", "4d_padded_kv_bf16")},
    "test_batchnorm_epsilon_training_mode": "whether statistics are trained is --batch-norm, not the file",
    "test_batchnorm_example_training_mode": "whether statistics are trained is --batch-norm, not the file",
    "test_not_": "opset 1",
    "test_scan_sum": "Scan of opset 8",
    "test_training_dropout": "files are inference graphs: Dropout passes its input on",
}

def dump(case, folder):
    """False where an input or output is no tensor (sequences, optionals)."""
    inputs, outputs = case.data_sets[0]
    arrays = [("input", i, value) for i, value in enumerate(inputs)] + [("output", i, value) for i, value in enumerate(outputs)]
    if any(not isinstance(value, (numpy.ndarray, numpy.generic, onnx.TensorProto)) for _, _, value in arrays):
        return False
    folder.mkdir(parents=True)
    for kind, index, value in arrays:
        tensor = value if isinstance(value, onnx.TensorProto) else numpy_helper.from_array(numpy.asarray(value))
        (folder / f"{kind}_{index}.pb").write_bytes(tensor.SerializeToString())
    (folder / "model.onnx").write_bytes(case.model.SerializeToString())
    (folder / "tolerances.txt").write_text(f"{case.rtol} {case.atol}\n")
    return True


def cases():
    if not (CACHE / "complete").exists():
        for case in collect_testcases(None):
            if not (CACHE / case.name).exists():
                dump(case, CACHE / case.name)
        (CACHE / "complete").write_text("")
    return CACHE


def load(path):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def loads(path):
    try:
        onnx.checker.check_model(str(path))
        load(path)
        return True
    except Exception:
        return False


def model_cases(target):
    """The folders of small models, in the layout of the runner."""
    root = pathlib.Path(onnx.__file__).parent / "backend" / "test" / "data"
    for kind in ("simple", "light", "pytorch-converted", "pytorch-operator"):
        for model in sorted((root / kind).rglob("*.onnx")):
            data = model.parent / "test_data_set_0"
            if model.name == "model.onnx" and data.is_dir():
                case = target / f"{kind}-{model.parent.name}"
                shutil.copytree(data, case)
                shutil.copy(model, case / "model.onnx")
                (case / "tolerances.txt").write_text("1e-3 1e-6\n")


class Conformance(unittest.TestCase):
    def check_written(self, written, originals):
        """What the structural writer makes of the cases: valid for onnx.checker, and loaded by ONNX Runtime wherever it loads the original."""
        refused = []
        for path in sorted(written.glob("*.onnx")):
            try:
                onnx.checker.check_model(str(path))
                load(path)
            except Exception as error:
                if loads(originals / path.stem / "model.onnx"):
                    refused.append(f"{path.stem}: {str(error).strip().splitlines()[0]}")
        self.assertEqual(refused, [])

    def check(self, folder, excuses, least):
        with tempfile.TemporaryDirectory() as written:
            done = subprocess.run([RUNNER, folder, written], capture_output=True, text=True, timeout=300, check=True)
            self.check_written(pathlib.Path(written), pathlib.Path(folder))
        lines = done.stdout.splitlines()
        passed = [line for line in lines if line.startswith("pass ")]
        untyped = [line for line in lines if line.startswith("fail ") and UNSUPPORTED_TYPE.search(line)]
        failed = [line for line in lines if line.startswith("fail ") and line not in untyped]
        skipped = [line for line in lines if line.startswith("skip ")]
        names = [line.split()[1].rstrip(":") for line in failed]
        unexpected = [line for line, name in zip(failed, names) if not name.startswith(tuple(excuses))]
        print(f"{len(passed)} passed, {len(failed)} listed, {len(untyped)} of an unsupported type, {len(skipped)} of other operators")
        self.assertEqual(unexpected, [])
        self.assertEqual([start for start in excuses if not any(name.startswith(start) for name in names)], [], "listed, but passes")
        self.assertGreaterEqual(len(passed), least)

    def test_every_case_of_every_operator(self):
        self.check(cases(), listed, 1533)

    def test_the_folders_of_models(self):
        with tempfile.TemporaryDirectory() as temporary:
            model_cases(pathlib.Path(temporary))
            self.check(temporary, {}, 131)


if __name__ == "__main__":
    unittest.main()
