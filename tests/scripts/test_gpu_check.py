"""gpu_check.sh without a GPU: a clear error; and its parts and report with programs that stand in for the carried build."""
import json
import os
import subprocess
import tempfile
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
SCRIPT = os.path.join(ROOT, "scripts", "gpu_check.sh")

NVIDIA_SMI = "#!/bin/sh\necho 'Some Card, 580.1, 80 GiB, 9.0'\n"
SANITIZER = '#!/bin/sh\nwhile [ "$1" != --error-exitcode ]; do shift; done\nshift 2\nexec "$@"\n'
PARE = """#!/usr/bin/env bash
while (($#)); do if [[ $1 == --report ]]; then echo '{"verdict": "ok"}' >"$2"; fi; shift; done
"""
BENCH = """#!/bin/sh
echo a warning >&2
echo '{"size": 4, "kernels": {"copy": {"ms": 2.0, "bytes": 4000000}, "score": {"ms": 8.0, "bytes": 8000000}}}'
"""


class GpuCheck(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="gpu check ")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        for name in ("pare", "tests/test_kernels_cuda", "tests/bench_kernels_cuda"):
            self.write(f"carried/{name}", {"pare": PARE, "tests/bench_kernels_cuda": BENCH}.get(name, "#!/bin/sh\n"))
        self.write("bin/compute-sanitizer", SANITIZER)
        os.makedirs(os.path.join(self.folder, "torch"))

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o755)

    def check(self, *arguments):
        environment = {**os.environ, "PATH": f"{self.folder}/bin:{os.environ['PATH']}", "PARE_TORCH_DIR": f"{self.folder}/torch"}
        return subprocess.run([SCRIPT, *arguments], cwd=self.folder, env=environment, capture_output=True, text=True, check=False)

    def check_carried(self):
        self.write("bin/nvidia-smi", NVIDIA_SMI)
        return self.check("--carried", "carried", "--report", "out/report.json")

    def report(self):
        with open(os.path.join(self.folder, "out", "report.json"), encoding="utf-8") as file:
            return json.load(file)

    def test_without_a_gpu_it_says_so(self):
        self.write("bin/nvidia-smi", "#!/bin/sh\necho 'has failed' >&2\nexit 9\n")
        result = self.check("--carried", "carried")
        self.assertEqual((result.returncode, result.stderr), (1, "gpu_check.sh: no GPU: nvidia-smi does not answer\n"))

    def test_all_parts_and_the_card_are_in_the_report(self):
        result = self.check_carried()
        self.assertEqual(result.returncode, 0, result.stderr)
        report = self.report()
        self.assertEqual(report["card"], "Some Card, 580.1, 80 GiB, 9.0")
        self.assertEqual({name: part["result"] for name, part in report["parts"].items()},
                         dict.fromkeys(("cases", "doctor", "memcheck", "racecheck", "prune", "bench"), "passed"))
        self.assertEqual(report["bench"]["kernels"]["score"]["of_copy"], 0.5)
        self.assertEqual((report["prune"], report["doctor"]), ({"verdict": "ok"}, {"verdict": "ok"}))

    def test_a_failed_part_fails_the_check_and_its_words_are_kept(self):
        self.write("carried/tests/test_kernels_cuda", "#!/bin/sh\necho 'wrong value'\nexit 3\n")
        self.assertEqual(self.check_carried().returncode, 1)
        parts = self.report()["parts"]
        self.assertEqual(parts["cases"]["result"], "failed: exit 3")
        self.assertEqual(parts["cases"]["log"], ["wrong value"])
        self.assertEqual(parts["bench"]["result"], "passed")

    def test_a_folder_that_holds_something_is_neither_packed_into_nor_taken_as_a_build(self):
        self.write("bin/nvidia-smi", NVIDIA_SMI)
        result = self.check("--pack", "bin")
        self.assertEqual((result.returncode, result.stderr), (1, "gpu_check.sh: bin exists and is not empty\n"))
        self.assertIn("bin is not a packed build", self.check("--carried", "bin").stderr)

    def test_wrong_usage(self):
        for arguments in (["--pack"], ["--pack", "a", "--carried", "b"], ["--bad"]):
            self.assertEqual(self.check(*arguments).returncode, 2, arguments)


if __name__ == "__main__":
    unittest.main()
