"""--teacher-cache: a teacher's outputs are computed once, shared by runs, and change no result."""
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

import h5py
import models

PARE = os.environ["PARE"]


class TeacherCache(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.student = models.convolutional(cls.folder / "student.onnx", size=8)
        cls.teacher = models.convolutional(cls.folder / "teacher.onnx", size=8)
        cls.data = models.idx_folder(cls.folder / "data", count=96, size=8)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def command(self, out, cache, *more):
        return [PARE, "distill", self.student, "--teacher", self.teacher, "--data", self.data, "--device", "cpu", "--threads", "1", "--batch",
                "8", "--seed", "5", "--augment", "flip,shift:1", "--teacher-cache", str(cache), "-o", str(self.folder / out), "-q",
                *map(str, more)]

    def run_to(self, code, command):
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr

    def sha256(self, out):
        return hashlib.sha256((self.folder / out).read_bytes()).hexdigest()

    def rows(self, cache):
        return sum(h5py.File(path)["samples"].size // 16 for path in cache.glob("*/*.h5"))

    def test_a_run_that_finds_everything_gives_the_same_bytes(self):
        cache = self.folder / "cache"
        self.run_to(0, self.command("cold.onnx", cache, "--epochs", "6"))
        rows = self.rows(cache)
        self.assertGreater(rows, 96)       # augmented samples differ
        self.assertLess(rows, 18 * 96)     # 2 mirrorings of 9 places are all that there are
        self.run_to(0, self.command("warm.onnx", cache, "--epochs", "6"))
        self.assertEqual(self.sha256("warm.onnx"), self.sha256("cold.onnx"))
        self.assertEqual(self.rows(cache), rows)
        # Another seed orders and augments otherwise, but finds part of its samples.
        command = self.command("seed.onnx", cache, "--epochs", "6")
        command[command.index("--seed") + 1] = "6"
        self.run_to(0, command)
        self.assertLess(self.rows(cache), 2 * rows)

    def test_a_killed_run_ends_with_the_same_bytes(self):
        options = ["--epochs", "40", "--checkpoint-every", "5"]
        self.run_to(0, self.command("whole.onnx", self.folder / "whole", *options))
        command = self.command("parts.onnx", self.folder / "parts", *options)
        for kind in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
            checkpoint = self.folder / "parts.onnx.run" / "checkpoint.h5"
            before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
            running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            while running.poll() is None and not (checkpoint.exists() and checkpoint.stat().st_mtime_ns != before):
                time.sleep(0.002)
            running.send_signal(kind)
            self.assertIn(running.wait(60), (-signal.SIGKILL, 75))
        self.run_to(0, command)
        self.assertEqual(self.sha256("parts.onnx"), self.sha256("whole.onnx"))

    def test_a_damaged_cache_is_computed_anew_and_a_bad_folder_is_an_error(self):
        cache = self.folder / "damaged"
        self.run_to(0, self.command("first.onnx", cache, "--steps", "5"))
        for path in cache.glob("*/*.h5"):
            path.write_bytes(path.read_bytes()[:-100])
        report = self.folder / "second.json"
        self.run_to(0, self.command("second.onnx", cache, "--steps", "5", "--report", report))
        self.assertIn("left out", json.loads(report.read_text())["warnings"][0])
        self.assertEqual(self.sha256("second.onnx"), self.sha256("first.onnx"))
        file = self.folder / "file"
        file.write_text("no folder")
        message = self.run_to(2, self.command("third.onnx", file, "--steps", "5"))
        self.assertIn("is no folder", message)
        self.assertEqual(len(message.splitlines()), 1, message)


if __name__ == "__main__":
    unittest.main()
