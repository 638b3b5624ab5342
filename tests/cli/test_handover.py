"""What `pare` hands over to its siblings: HDF5 files, and everything that runs a model. Bad input end to end."""
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import models  # noqa: E402

PARE = os.environ["PARE"]
LIBEXEC = pathlib.Path(PARE).parent / "libexec" / "pare"


def run(*arguments, program=PARE, **options):
    options.setdefault("timeout", 300)
    return subprocess.run([str(program), *map(str, arguments)], capture_output=True, text=True, **options)


def without_torch():
    return {**os.environ, "PARE_TORCH_DIR": "/nonexistent/torch"}


class HandOver(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pare-cli-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.model = models.convolutional(self.folder / "m.onnx")

    def files(self):
        return sorted(path.name for path in self.folder.iterdir())

    def assert_error(self, result, code, *parts):
        """One error line on stderr with all `parts`, besides warnings; nothing on stdout."""
        errors = [line for line in result.stderr.splitlines() if not line.startswith("pare: warning: ")]
        self.assertEqual((result.returncode, result.stdout, len(errors)), (code, "", 1), result.stderr)
        self.assertTrue(errors[0].startswith("pare: "), errors[0])
        for part in parts:
            self.assertIn(part, errors[0])


class Hdf5(HandOver):
    def test_exit_status_report_and_streams_are_the_siblings(self):
        small = self.folder / "m.h5"
        self.assertEqual(run("convert", self.model, small, "-q", env=without_torch()).returncode, 0)
        result = run("inspect", small, "--report", "-", "--gate", "bytes<=10", env=without_torch())
        self.assertEqual(result.returncode, 4)
        report = json.loads(result.stdout)
        self.assertEqual(report["argv"][1:3], ["inspect", str(small)])
        self.assertEqual((report["model"]["parameters"], report["model"]["bytes"]), (27076, small.stat().st_size))
        self.assertIn("bytes<=10", result.stderr)

    def test_convert_refuses_an_existing_output_and_needs_one(self):
        result = run("convert", self.model, self.model)
        self.assert_error(result, 2, "exists already; give --force")
        self.assert_error(run("convert", self.model), 2, "OUT is required")

    def test_a_full_disk_leaves_nothing_half_written(self):
        for name in ("m.h5", "copy.onnx"):
            with self.subTest(name=name):
                def limit_files():
                    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                    resource.setrlimit(resource.RLIMIT_FSIZE, (50000, 50000))
                self.assert_error(run("convert", self.model, self.folder / name, preexec_fn=limit_files), 1, name)
                self.assertEqual(self.files(), ["m.onnx"])

    def test_a_file_that_is_no_hdf5_is_bad_input(self):
        path = self.folder / "bad.h5"
        for content in (b"", b"text", bytes(5000)):
            path.write_bytes(content)
            self.assert_error(run("inspect", path), 3, str(path))


class Engine(HandOver):
    def test_without_libtorch_the_error_names_the_way_out(self):
        result = run("evaluate", self.model, env=without_torch())
        self.assert_error(result, 1, "PARE_TORCH_DIR: /nonexistent/torch: no LibTorch", "run scripts/setup.sh")

    def test_wrong_usage_needs_no_libtorch(self):
        self.assert_error(run("evaluate", self.model, "--batch", "0", env=without_torch()), 2, "--batch: bad value")

    def test_the_process_stays_the_same(self):
        # Whatever sends the signal has the process id of `pare`; after exec it is the engine's.
        data = models.idx_folder(self.folder / "data", count=512)
        command = [PARE, "prune", self.model, "--sparsity", "0.5", "--data", data, "--epochs", "100000", "--teacher", "none", "-o",
                   str(self.folder / "out.onnx")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        executable = ""
        deadline = time.monotonic() + 60
        while not executable.endswith("/pare-engine") and time.monotonic() < deadline:
            executable = os.readlink(f"/proc/{process.pid}/exe")
        self.assertTrue(executable.endswith("/pare-engine"), executable)
        process.kill()
        process.communicate()
        self.assertEqual(process.returncode, -signal.SIGKILL)

    def test_a_sibling_never_hands_over_again(self):
        self.assert_error(run("evaluate", self.model, program=LIBEXEC / "pare-hdf5"), 1, "run it through `pare`")

    def test_an_unknown_operator_is_named_before_any_work(self):
        odd = models.convolutional(self.folder / "odd.onnx", odd_op=True)
        data = models.idx_folder(self.folder / "data")
        out = self.folder / "out.onnx"
        for command in (["evaluate", odd, "--runtime", "pare"], ["prune", odd, "--sparsity", "0.5", "-o", out], ["distill", odd, "--teacher", "none", "-o", out]):
            self.assert_error(run(*command, "--data", data), 3, odd, "Frobnicate", "'odd'")
        self.assertEqual(self.files(), ["data", "m.onnx", "odd.onnx"])

    def test_data_that_does_not_fit_is_bad_input(self):
        small = models.idx_folder(self.folder / "small", size=20)
        self.assert_error(run("evaluate", self.model, "--data", small), 3, "dimension", "20", "28")
        labels = models.idx_folder(self.folder / "labels", highest_label=12)
        self.assert_error(run("evaluate", self.model, "--data", labels), 3, "label", "10")
        empty = models.idx_folder(self.folder / "empty", count=0)
        self.assert_error(run("evaluate", self.model, "--data", empty), 3, "empty")
        nothing = self.folder / "nothing"
        nothing.mkdir()
        self.assert_error(run("evaluate", self.model, "--data", nothing), 3, str(nothing))

    def test_truncated_data_is_bad_input(self):
        data = models.idx_folder(self.folder / "data")
        images = pathlib.Path(data) / "t10k-images-idx3-ubyte"
        images.write_bytes(images.read_bytes()[:1000])
        self.assert_error(run("evaluate", self.model, "--data", data), 3, "t10k-images-idx3-ubyte")

    def test_a_gate_on_what_the_command_measured(self):
        data = models.idx_folder(self.folder / "data")
        result = run("evaluate", self.model, "--data", data, "--gate", "accuracy>=0", "--gate", "accuracy>1", "--report",
                     self.folder / "r.json")
        self.assertEqual((result.returncode, result.stderr), (4, ""))
        report = json.loads((self.folder / "r.json").read_text())
        self.assertEqual([gate["met"] for gate in report["gates"]], [True, False])
        self.assertEqual(report["gates"][0]["value"], report["metrics"]["accuracy"])


class Doctor(HandOver):
    def test_it_is_content_with_this_build(self):
        result = run("doctor", "--report", "-")
        self.assertEqual(result.returncode, 0, result.stderr)
        checks = {check["name"]: check["status"] for check in json.loads(result.stdout)["checks"]}
        self.assertEqual([checks[name] for name in ("LibTorch", "pare-engine", "pare-hdf5")], ["ok", "ok", "ok"])

    def test_without_libtorch_it_says_what_is_missing(self):
        result = run("doctor", env=without_torch())
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stdout, r"(?m)^LibTorch +MISSING")
        self.assertEqual(result.stderr, "pare: doctor: some commands cannot run on this machine; see the table\n")


if __name__ == "__main__":
    unittest.main()
