"""Training that can be left alone: stopped or killed at any moment it ends with the same bytes; run folders and bad values are checked."""
import hashlib
import json
import os
import pathlib
import random
import signal
import subprocess
import tempfile
import time
import unittest

import models
import numpy as np

PARE = os.environ["PARE"]
FASHION_CNN = str(pathlib.Path(__file__).resolve().parents[2] / "models" / "fashion-cnn.onnx")


class Training(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.model = models.convolutional(cls.folder / "model.onnx", size=8)
        cls.data = models.idx_folder(cls.folder / "data", count=96, size=8)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def command(self, out, *more, name="prune"):
        particular = {"prune": ["--sparsity", "0.5"], "distill": ["--teacher", self.model, "--init", "keep"]}[name]
        return [PARE, name, self.model, "--data", self.data, "--device", "cpu", "--threads", "1", "--batch", "8", "--seed", "5", *particular,
                "-o", str(self.folder / out), "-q", *map(str, more)]

    def run_to(self, code, command):
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr

    def sha256(self, out):
        return hashlib.sha256((self.folder / out).read_bytes()).hexdigest()

    def interrupted(self, out, kinds, *options):
        """Runs the command to its end, with a signal at a random moment after each new checkpoint."""
        command = self.command(out, *options)
        checkpoint = self.folder / f"{out}.run" / "checkpoint.h5"
        moments = random.Random(out)
        stops = 0
        for kind in kinds:
            before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
            running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            while running.poll() is None and not (checkpoint.exists() and checkpoint.stat().st_mtime_ns != before):
                time.sleep(0.002)
            time.sleep(moments.random() * 0.05)
            running.send_signal(kind)
            code = running.wait(60)
            if code == 0:
                break
            self.assertEqual(code, -signal.SIGKILL if kind == signal.SIGKILL else 75)
            self.assertFalse((self.folder / out).exists())
            stops += 1
        if code != 0:
            self.run_to(0, command)
        self.assertEqual([p.name for p in self.folder.iterdir() if p.name.startswith(f"{out}.")], [])
        return stops

    def test_a_run_stopped_or_killed_ends_with_the_same_bytes(self):
        options = ["--epochs", "60", "--holdout", "16", "--ema", "0.95", "--accumulate", "2", "--clip-norm", "1", "--augment", "flip,crop:1,erase,jitter,mixup:0.2",
                   "--checkpoint-every", "3"]
        self.run_to(0, self.command("whole.onnx", *options))
        kinds = [signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGUSR1, signal.SIGKILL, signal.SIGINT]
        self.assertGreaterEqual(self.interrupted("parts.onnx", kinds, *options), 3)
        self.assertEqual(self.sha256("parts.onnx"), self.sha256("whole.onnx"))

    def test_deterministic_gives_the_same_bytes_with_any_number_of_threads(self):
        """Of a model whose sums are long enough to be split: without --deterministic its bytes depend on the threads."""
        data = models.idx_folder(self.folder / "larger", count=256, size=28)
        for threads in 1, 2:
            self.run_to(0, [PARE, "distill", FASHION_CNN, "--teacher", "none", "--init", "keep", "--data", data, "--device", "cpu", "--epochs", "2",
                            "--threads", str(threads), "--deterministic", "-q", "-o", str(self.folder / f"threads{threads}.onnx")])
        self.assertEqual(self.sha256("threads1.onnx"), self.sha256("threads2.onnx"))

    def test_a_run_folder_of_other_settings_is_refused(self):
        run = ["--run-dir", self.folder / "shared.run", "--epochs", "50", "--checkpoint-every", "1"]
        running = subprocess.Popen(self.command("shared.onnx", *run), stderr=subprocess.DEVNULL)
        while running.poll() is None and not (self.folder / "shared.run" / "checkpoint.h5").exists():
            time.sleep(0.002)
        running.send_signal(signal.SIGTERM)
        self.assertEqual(running.wait(60), 75)
        for name, more, difference in (("prune", ["--lr", "0.5"], "lr (got 0.5, expected 0.001)"),
                                       ("prune", ["--ema", "0.5"], "ema (got 0.5, expected 0"), ("distill", [], 'command (got "distill", expected "prune")')):
            message = self.run_to(2, self.command("shared.onnx", *run, *more, name=name))
            self.assertEqual(len(message.splitlines()), 1, message)
            self.assertIn(difference, message)
        self.run_to(0, self.command("shared.onnx", *run))
        rows = [json.loads(line) for line in (self.folder / "shared.run" / "log.jsonl").read_text().splitlines()]
        steps = [row["step"] for row in rows]
        self.assertEqual(steps, sorted(steps))
        self.assertEqual(steps[-1], 600)
        self.assertTrue(any("images_per_second" in row for row in rows))
        self.assertFalse((self.folder / "shared.run" / "checkpoint.h5").exists())

    def test_data_that_is_not_finite_ends_with_exit_1_and_a_message(self):
        broken = self.folder / "broken"
        broken.mkdir()
        images = np.full((16, 8, 8), np.nan, dtype=">f4")
        for part in ("train", "t10k"):
            (broken / f"{part}-images-idx3-ubyte").write_bytes(
                bytes([0, 0, 0x0D, 3]) + np.array(images.shape, dtype=">u4").tobytes() + images.tobytes())
            (broken / f"{part}-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 16]) + bytes(16))
        command = self.command("nan.onnx", "--epochs", "50")
        command[command.index("--data") + 1] = str(broken)
        message = self.run_to(1, command)
        self.assertIn("not finite in 10 steps in a row", message)
        self.assertFalse((self.folder / "nan.onnx").exists())

    def test_early_stop_ends_a_training_that_gets_no_better(self):
        report = self.folder / "early.json"
        command = self.command("early.onnx", "--epochs", "40", "--holdout", "16", "--early-stop", "2", "--lr", "1e-9", "--report", report,
                               name="distill")
        self.run_to(0, command)
        history = json.loads(report.read_text())["history"]
        self.assertEqual(len(history), 3)

    def test_bad_values(self):
        for more, naming in ((["--ema", "1"], "--ema"), (["--accumulate", "0"], "--accumulate"), (["--clip-norm", "-1"], "--clip-norm"),
                             (["--momentum", "1.5"], "--momentum"), (["--early-stop", "3"], "give --holdout or --val"),
                             (["--precision", "fp8"], "--precision"), (["--augment", "erase:2"], "erase takes no number"),
                             (["--augment", "crop"], "expected crop:N"), (["--augment", "crop:8"], "can move the whole image away")):
            message = self.run_to(2, self.command("bad.onnx", *more))
            self.assertIn(naming, message)


if __name__ == "__main__":
    unittest.main()
