"""`pare doctor --gpu-test` where there is no GPU: a usage error that says why; where there is one, every kernel is right."""
import json
import os
import subprocess
import unittest

PARE = os.environ["PARE"]


class GpuTest(unittest.TestCase):
    def test_it_tells_why_it_cannot_run_or_compares_all_kernels(self):
        result = subprocess.run([PARE, "doctor", "--gpu-test", "--report", "-"], capture_output=True, text=True, timeout=300)
        report = json.loads(result.stdout)
        if os.path.exists("/dev/nvidiactl"):
            self.assertEqual((result.returncode, report["device"]["type"]), (0, "cuda"), result.stderr)
            self.assertEqual({check["status"] for check in report["checks"]}, {"ok"})
        else:
            self.assertEqual((result.returncode, result.stderr), (2, f"pare: {report['error']}\n"))
            self.assertRegex(result.stderr, r"^pare: --gpu-test: (no NVIDIA driver|this build has no pare-engine-cuda)")


if __name__ == "__main__":
    unittest.main()
