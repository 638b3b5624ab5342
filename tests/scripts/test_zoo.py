"""zoo.sh: the same step for every model; odd names, failures, collisions, signals; and once with the built pare."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
ZOO = os.path.join(ROOT, "scripts", "zoo.sh")

# Stands in for pare: prints its arguments, writes a report, fails for models named *bad*, and sleeps for *slow* until a signal.
FAKE = r"""#!/usr/bin/env bash
if [[ $2 == --help ]]; then echo '  --report FILE'; exit; fi
printf '<%s>' "$@"; echo
case "$*" in
  *slow*) trap 'echo "stopped" >&2; kill $!; exit 75' TERM INT; touch "$STARTED"; sleep 60 & wait ;;
  *bad*) echo 'pare: model: not an ONNX file' >&2; exit 3 ;;
esac
while (($#)); do if [[ $1 == --report ]]; then echo '{"verdict": "ok", "metrics": {"accuracy": 0.5}}' >"$2"; fi; shift; done
"""


class Zoo(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="zoo test ")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.fake = self.write("fake-pare", FAKE)
        os.chmod(self.fake, 0o755)
        self.started = os.path.join(self.folder, "started")

    def write(self, name, text=""):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def environment(self, pare):
        return {**os.environ, "PARE": pare, "STARTED": self.started}

    def zoo(self, *arguments, pare=None):
        return subprocess.run(
            [ZOO, "--out", "out", *arguments], cwd=self.folder, env=self.environment(pare or self.fake), capture_output=True, text=True, check=False)

    def summary(self):
        with open(os.path.join(self.folder, "out", "summary.json"), encoding="utf-8") as file:
            return json.load(file)

    def log(self, index):
        with open(os.path.join(self.folder, "out", "runs", f"{index:05d}.log"), encoding="utf-8") as file:
            return file.read()

    def test_every_model_runs_and_the_summary_has_its_report(self):
        for name in ("m/a.onnx", "m/b.onnx", "m/c.h5"):
            self.write(name)
        done = self.zoo("-j", "2", "m/*.onnx", "--", "inspect", "--quiet")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("2 ok, 0 failed", done.stderr)
        summary = self.summary()
        self.assertEqual([run["path"] for run in summary["runs"]], ["m/a.onnx", "m/b.onnx"])
        self.assertEqual([run["metrics"]["accuracy"] for run in summary["runs"]], [0.5, 0.5])
        self.assertEqual(self.log(1), "<inspect><m/a.onnx><--quiet><--report><out/runs/00001.report.json>\n")

    def test_a_failure_does_not_stop_the_others_and_fails_the_whole(self):
        for name in ("a-bad.onnx", "b.onnx", "c.onnx"):
            self.write(name)
        done = self.zoo("*.onnx", "--", "inspect")
        self.assertEqual(done.returncode, 1)
        self.assertIn("FAILED (3)  a-bad.onnx", done.stderr)
        summary = self.summary()
        self.assertEqual((summary["models"], summary["ok"], summary["failed"]), (3, 2, 1))
        self.assertEqual([run["exit_code"] for run in summary["runs"]], [3, 0, 0])
        self.assertEqual(summary["runs"][0]["verdict"], "error")
        self.assertEqual(summary["runs"][0]["error"], "pare: model: not an ONNX file")

    def test_placeholders_and_names_that_a_shell_would_break(self):
        name = "$(touch hacked) 'q\" {dir} a;b\n.v2.onnx"
        self.write(os.path.join("deep er", name))
        done = self.zoo("**/*.onnx", "--", "prune", "{}", "-o", "{dir}/{name}.pruned.{ext}", "--log", "{out}/x", "--x={other}")
        self.assertEqual(done.returncode, 0, done.stderr)
        stem = name.removesuffix(".onnx")
        self.assertEqual(
            self.summary()["runs"][0]["command"][:8],
            ["pare", "prune", f"deep er/{name}", "-o", f"deep er/{stem}.pruned.onnx", "--log", "out/x", "--x={other}"])
        self.assertFalse(os.path.exists(os.path.join(self.folder, "hacked")))

    def test_an_unquoted_glob_and_overlapping_globs_run_each_model_once(self):
        for name in ("a.onnx", "b.onnx"):
            self.write(name)
        self.assertEqual(self.zoo("a.onnx", "b.onnx", "*.onnx", "--", "inspect").returncode, 0)
        self.assertEqual([run["path"] for run in self.summary()["runs"]], ["a.onnx", "b.onnx"])

    def test_two_models_that_would_write_one_file_are_refused_before_any_work(self):
        for name in ("x/m.onnx", "y/m.onnx"):
            self.write(name)
        done = self.zoo("*/m.onnx", "--", "prune", "-o", "{out}/{name}.onnx")
        self.assertEqual(done.returncode, 2)
        self.assertIn("would both write 'out/m.onnx'", done.stderr)
        self.assertFalse(os.path.exists(os.path.join(self.folder, "out")))

    def test_usage_errors_are_one_line(self):
        self.write("a.onnx")
        for arguments in (
            [], ["a.onnx"], ["a.onnx", "--"], ["--", "inspect"], ["none*.onnx", "--", "inspect"],
            ["-j", "0", "a.onnx", "--", "inspect"], ["--typo", "a.onnx", "--", "inspect"], ["a.onnx", "-j"],
        ):
            with self.subTest(arguments):
                done = self.zoo(*arguments)
                self.assertEqual(done.returncode, 2)
                self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)

    def test_dry_run_prints_commands_that_a_shell_can_read(self):
        self.write("a b.onnx")
        done = self.zoo("--dry-run", "*.onnx", "--", "inspect")
        self.assertEqual((done.returncode, done.stdout), (0, "pare inspect a\\ b.onnx\n"))

    def test_a_signal_stops_the_running_ones_starts_no_more_and_is_summarized(self):
        for name in ("a-slow.onnx", "b.onnx"):
            self.write(name)
        for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
            with self.subTest(number):
                process = subprocess.Popen(
                    [ZOO, "--out", "out", "*.onnx", "--", "prune"], cwd=self.folder, env=self.environment(self.fake), stderr=subprocess.PIPE, text=True)
                deadline = time.monotonic() + 20
                while not os.path.exists(self.started) and time.monotonic() < deadline:
                    time.sleep(0.02)
                process.send_signal(number)
                errors = process.communicate(timeout=20)[1]
                os.remove(self.started)
                self.assertEqual(process.returncode, code, errors)
                self.assertEqual([run["verdict"] for run in self.summary()["runs"]], ["preempted", "not-run"], errors)

    def test_the_built_pare_inspects_models(self):
        for seed in (1, 2):
            path = os.path.join(self.folder, f"seed {seed}.onnx")
            subprocess.run([sys.executable, os.path.join(ROOT, "scripts/make_fashion_cnn.py"), path, "--seed", str(seed)], check=True)
        self.write("broken.onnx", "this is no model")
        done = self.zoo("-j", "2", "*.onnx", "--", "inspect", pare=os.environ["PARE"])
        self.assertEqual(done.returncode, 1)
        summary = self.summary()
        self.assertEqual([run["exit_code"] for run in summary["runs"]], [3, 0, 0], done.stderr)
        self.assertEqual(summary["runs"][1]["input"]["parameters"], summary["runs"][2]["input"]["parameters"])


if __name__ == "__main__":
    unittest.main()
