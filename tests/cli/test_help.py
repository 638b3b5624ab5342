"""Help texts are golden files: a change of the command line shows up as a change of tests/cli/golden.

PARE_UPDATE_GOLDEN=1 rewrites them.
"""
import os
import pathlib
import subprocess
import unittest

PARE = os.environ["PARE"]
GOLDEN = pathlib.Path(__file__).parent / "golden"
COMMANDS = ["inspect", "convert", "evaluate", "prune", "quantize", "qat", "distill", "doctor"]


def run(*arguments):
    return subprocess.run([PARE, *arguments], capture_output=True, text=True, timeout=60)


class Help(unittest.TestCase):
    maxDiff = None

    def compare(self, name, text):
        path = GOLDEN / f"{name}.txt"
        if os.environ.get("PARE_UPDATE_GOLDEN"):
            path.write_text(text)
        self.assertEqual(text, path.read_text(), f"{path} differs; PARE_UPDATE_GOLDEN=1 rewrites it")

    def test_overview_is_golden(self):
        result = run("--help")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.compare("pare", result.stdout)

    def test_every_command_is_golden(self):
        for command in COMMANDS:
            with self.subTest(command=command):
                result = run(command, "--help")
                self.assertEqual((result.returncode, result.stderr), (0, ""))
                self.compare(command, result.stdout)

    def test_golden_files_are_of_commands_that_exist(self):
        listed = [line.split()[0] for line in run("--help").stdout.split("Commands:\n")[1].split("\n\n")[0].splitlines()]
        self.assertEqual(listed, COMMANDS)
        self.assertEqual({path.stem for path in GOLDEN.iterdir()}, {"pare", *COMMANDS})

    def test_all_ways_of_asking_give_the_same(self):
        for command in COMMANDS:
            expected = run(command, "--help").stdout
            self.assertEqual(run("help", command).stdout, expected)
            self.assertEqual(run(command, "-h").stdout, expected)
        self.assertEqual(run("help").stdout, run("--help").stdout)
        self.assertEqual(run("-h").stdout, run("--help").stdout)

    def test_without_arguments_help_goes_to_stderr_and_the_exit_code_is_2(self):
        result = run()
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertEqual(result.stderr, run("--help").stdout)

    def test_version(self):
        result = run("--version")
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "pare 0.1.0\n", ""))

    def test_help_of_an_unknown_command_is_wrong_usage(self):
        result = run("help", "purne")
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertEqual(result.stderr, "pare: unknown command 'purne'; did you mean 'prune'?\n")


if __name__ == "__main__":
    unittest.main()
