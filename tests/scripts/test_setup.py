"""setup.sh: usage errors and unusable places are one line; nothing is touched when everything is there."""
import os
import subprocess
import tempfile
import unittest

SETUP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts", "setup.sh")


def setup(*arguments, **environment):
    return subprocess.run([SETUP, *arguments], env={**os.environ, **environment}, capture_output=True, text=True, check=False)


class Setup(unittest.TestCase):
    def one_line(self, done, code, *words):
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def test_a_typo_is_a_usage_error(self):
        self.one_line(setup("--test"), 2, "--test", "--help")

    def test_a_cache_that_cannot_be_written_names_the_variable(self):
        with tempfile.NamedTemporaryFile() as file:
            self.one_line(setup(PARE_CACHE=f"{file.name}/cache"), 1, "PARE_CACHE")

    def test_a_torch_of_another_version_is_refused_with_both_versions(self):
        with tempfile.TemporaryDirectory() as folder:
            torch = os.path.join(folder, "torch")
            os.makedirs(os.path.join(torch, "lib"))
            with open(os.path.join(torch, "version.py"), "w", encoding="utf-8") as file:
                file.write("__version__ = '2.10.1+cpu'\n")
            done = setup("--no-apt", PARE_CACHE=os.path.join(folder, "cache"), PARE_TORCH_DIR=torch)
        self.one_line(done, 1, "2.10.1", "2.11.0", "PARE_TORCH_DIR")

    def test_run_again_it_says_nothing_and_changes_nothing(self):
        cache = os.environ.get("PARE_CACHE") or os.path.expanduser("~/.cache/pare")
        torch = os.environ.get("PARE_TORCH_DIR") or os.path.join(cache, "torch-2.11.0", "torch")
        before = os.stat(torch).st_mtime_ns
        done = setup("--tests", "--no-apt")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        self.assertEqual(os.stat(torch).st_mtime_ns, before)


if __name__ == "__main__":
    unittest.main()
