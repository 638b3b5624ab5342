"""The front end from outside: exit codes, error lines, reports, streams, start time. Nothing here needs LibTorch."""
import html.parser
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import models  # noqa: E402

PARE = os.environ["PARE"]


def run(*arguments, **options):
    options.setdefault("timeout", 60)
    return subprocess.run([PARE, *map(str, arguments)], capture_output=True, text=True, **options)


class Front(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pare-cli-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.model = models.convolutional(self.folder / "m.onnx")

    def files(self):
        return sorted(path.name for path in self.folder.iterdir())

    def prune(self, *more, **options):
        (self.folder / "data").mkdir(exist_ok=True)
        return run("prune", self.model, "--sparsity", "0.8", "--data", self.folder / "data", "-o", self.folder / "out.onnx", *more,
                   **options)

    def assert_usage(self, result, message):
        self.assertEqual((result.returncode, result.stdout, result.stderr), (2, "", f"pare: {message}\n"))


class Usage(Front):
    def test_a_typo_gets_a_suggestion(self):
        self.assert_usage(run("inspct", "m.onnx"), "unknown command 'inspct'; did you mean 'inspect'?")
        self.assert_usage(self.prune("--epoch", "3"), "unknown option '--epoch'; did you mean '--epochs'?")
        self.assert_usage(self.prune("--scope", "globl"),
                          "--scope: unknown value (got 'globl', expected one of auto, global, layer, erk); did you mean 'global'?")
        self.assert_usage(self.prune("--gate", "acuracy>=0.9"),
                          "--gate acuracy>=0.9: 'acuracy' is not measured by this command line; did you mean 'accuracy'?")

    def test_a_wrong_line_is_refused_in_milliseconds_before_any_work(self):
        start = time.monotonic()
        self.assert_usage(self.prune("--sparsity", "2"), "--sparsity: bad value (got '2', expected a number above 0 and below 1)")
        self.assertLess(time.monotonic() - start, 1)
        self.assertEqual(self.files(), ["data", "m.onnx"])

    def test_missing_files_are_named(self):
        missing = self.folder / "no.onnx"
        self.assert_usage(run("inspect", missing), f"MODEL: {missing}: no such file")
        self.assert_usage(run("inspect", self.folder), f"MODEL: {self.folder}: is a folder, expected a file")
        self.assert_usage(self.prune("--teacher", missing),
                          f"--teacher: {missing}: no such file (expected original, self, none or a model file)")
        self.assert_usage(self.prune("--teacher", "slef"),
                          "--teacher: slef: no such file (expected original, self, none or a model file); did you mean 'self'?")
        self.assert_usage(self.prune("--val", missing), f"--val: {missing}: no such file")
        self.assert_usage(run("evaluate", self.model, "--against", missing), f"--against: {missing}: no such file")

    def test_an_existing_output_is_refused_and_stays(self):
        out = self.folder / "out.onnx"
        out.write_text("precious")
        self.assert_usage(self.prune(), f"{out}: exists already; give --force to replace it")
        self.assertEqual(out.read_text(), "precious")

    def test_outputs_that_cannot_be_written_are_refused(self):
        self.assert_usage(self.prune("-o", self.folder / "nowhere" / "x.onnx"),
                          f"{self.folder}/nowhere/x.onnx: folder {self.folder}/nowhere does not exist; create it first")
        self.assert_usage(self.prune("-o", self.folder / "out.onnx"),
                          f"--out: {self.folder}/out.onnx is given twice; name each output once")
        result = self.prune("-o", self.folder / "out.pb")
        self.assertEqual(result.returncode, 2)
        self.assertIn("unknown model format (got extension '.pb'", result.stderr)

    @unittest.skipIf(os.geteuid() == 0, "root may write everywhere")
    def test_a_read_only_folder_is_refused(self):
        locked = self.folder / "locked"
        locked.mkdir(mode=0o555)
        result = self.prune("-o", locked / "x.onnx")
        self.assertEqual(result.returncode, 2)
        self.assertIn("cannot be written", result.stderr)

    def test_an_absent_device_is_an_error(self):
        if os.path.exists("/dev/nvidiactl"):
            self.skipTest("this machine has a GPU")
        result = self.prune("--device", "cuda")
        self.assertEqual(result.returncode, 2)
        self.assertRegex(result.stderr, r"\Apare: --device cuda: .*; use --device cpu\n\Z")

    def test_gates_are_checked_before_any_work(self):
        self.assert_usage(self.prune("--gate", "accuracy"),
                          "--gate accuracy: no comparison (expected NAME>=NUMBER, or one of <=, >, <, ==); quote it for the shell")
        self.assert_usage(self.prune("-o", self.folder / "out.h5", "--gate", "bytes<=1000"),
                          "--gate bytes<=1000: 'bytes' is not measured by this command line; did you mean 'bytes.onnx'?")
        self.assert_usage(run("evaluate", self.model, "--gate", "accuracy_drop<=0.01"),
                          "--gate accuracy_drop<=0.01: 'accuracy_drop' is not measured by this command line")


class Inspect(Front):
    def test_the_report_holds_the_figures_of_the_file(self):
        result = run("inspect", self.model, "--report", "-", "-q")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        report = json.loads(result.stdout)
        model = report["model"]
        parameters = 4 * 9 + 10 * 4 * 26 * 26
        self.assertEqual(model["parameters"], parameters)
        self.assertEqual(model["nonzero"], parameters - 18)
        self.assertEqual(model["macs"], 4 * 9 * 26 * 26 + 10 * 4 * 26 * 26)
        self.assertEqual(model["bytes"], os.path.getsize(self.model))
        self.assertEqual(model["inputs"], [{"name": "x", "dtype": "float32", "shape": ["N", 1, 28, 28]}])
        self.assertEqual(model["unsupported"], [])
        self.assertAlmostEqual(report["result"]["sparsity"], 18 / parameters)
        self.assertEqual([(layer["name"], layer["shape"], layer["sparsity"]) for layer in report["layers"]],
                         [("conv1", [4, 1, 3, 3], 0.5), ("fc", [10, 2704], 0.0)])
        self.assertEqual(report["settings"]["model"], self.model)
        self.assertEqual(report["verdict"], "ok")
        self.assertGreater(report["cost"]["peak_rss"], 0)

    def test_the_table_is_on_stdout_and_fits_80_columns(self):
        result = run("inspect", self.model)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertIn("Conv", result.stdout)
        self.assertIn("27,076", result.stdout)
        for line in result.stdout.splitlines()[1:]:  # the first names the file
            self.assertLessEqual(len(line), 80)

    def test_with_the_report_on_stdout_the_table_goes_to_stderr(self):
        result = run("inspect", self.model, "--report", "-")
        json.loads(result.stdout)
        self.assertIn("Conv", result.stderr)

    def test_an_unknown_operator_is_named_and_no_error(self):
        odd = models.convolutional(self.folder / "odd.onnx", odd_op=True)
        result = run("inspect", odd, "--report", self.folder / "r.json")
        self.assertEqual(result.returncode, 0)
        self.assertIn("unsupported: Frobnicate node 'odd'", result.stdout)
        report = json.loads((self.folder / "r.json").read_text())
        self.assertEqual(report["model"]["unsupported"], [{"node": "odd", "op": "com.example.Frobnicate"}])

    def test_gates_decide_between_0_and_4(self):
        met = run("inspect", self.model, "--gate", "parameters==27076", "--gate", "model.bytes<=1e6")
        self.assertEqual(met.returncode, 0)
        missed = run("inspect", self.model, "--gate", "parameters==27076", "--gate", "sparsity>=0.9", "--report", self.folder / "r.json")
        self.assertEqual((missed.returncode, missed.stderr), (4, ""))
        report = json.loads((self.folder / "r.json").read_text())
        self.assertEqual((report["verdict"], report["exit_code"], report["error"]), ("gate-failed", 4, None))
        self.assertEqual([gate["met"] for gate in report["gates"]], [True, False])

    def test_files_that_are_no_models_are_bad_input(self):
        whole = pathlib.Path(self.model).read_bytes()
        cases = {"empty": b"", "text": b"this is not an ONNX file\n", "half": whole[:len(whole) // 2], "zeros": bytes(1000)}
        for name, content in cases.items():
            with self.subTest(name=name):
                path = self.folder / f"{name}.onnx"
                path.write_bytes(content)
                result = run("inspect", path)
                self.assertEqual((result.returncode, result.stdout), (3, ""))
                self.assertRegex(result.stderr, rf"\Apare: {path}: [^\n]+\n\Z")


class Reports(Front):
    def test_an_error_is_in_the_report_too(self):
        report = self.folder / "r.json"
        result = run("inspect", self.folder / "no.onnx", "--report", report)
        document = json.loads(report.read_text())
        self.assertEqual((document["verdict"], document["exit_code"]), ("error", 2))
        self.assertEqual(f"pare: {document['error']}\n", result.stderr)

    def test_so_is_a_wrong_command_line(self):
        report = self.folder / "r.json"
        result = self.prune("--lr", "fast", "--report", report, "--report", "-")
        self.assertEqual(result.returncode, 2)
        self.assertEqual(json.loads(report.read_text())["error"], "--lr: bad value (got 'fast', expected a number above 0)")
        self.assertEqual(json.loads(result.stdout)["command"], "prune")

    def test_a_report_of_another_kind_is_refused_and_not_written(self):
        self.assert_usage(run("inspect", self.model, "--report", self.folder / "r.txt"),
                          f"--report: unknown kind of report (got '{self.folder}/r.txt', expected a name ending in .json or .html, or -)")
        self.assertEqual(self.files(), ["m.onnx"])

    def test_a_page_holds_what_the_report_holds(self):
        odd = self.folder / "a<b>&.onnx"
        shutil.copy(self.model, odd)
        page, document = self.folder / "r.html", self.folder / "r.json"
        self.assertEqual(run("inspect", odd, "-q", "--report", page, "--report", document).returncode, 0)

        class Reader(html.parser.HTMLParser):
            def __init__(self):
                super().__init__()
                self.open, self.text = [], []

            def handle_starttag(self, tag, attributes):
                if tag not in ("meta", "link", "br"):
                    self.open.append(tag)

            def handle_endtag(self, tag):
                assert self.open.pop() == tag, tag

            def handle_data(self, data):
                self.text.append(data.strip())

        reader = Reader()
        reader.feed(page.read_text())
        self.assertEqual(reader.open, [])
        report = json.loads(document.read_text())
        for expected in (report["model"]["sha256"], f"{report['model']['parameters']:,}", "pare inspect", *(layer["name"] for layer in report["layers"])):
            self.assertTrue(any(expected in text for text in reader.text), expected)
        self.assertTrue(any(str(odd) in text for text in reader.text))
        self.assertNotIn("<b>", page.read_text())

    def test_a_report_folder_that_is_missing_is_refused(self):
        result = run("inspect", self.model, "--report", self.folder / "no" / "r.json")
        self.assertEqual(result.returncode, 2)
        self.assertEqual(len(result.stderr.splitlines()), 1)

    def test_the_log_file_gets_details(self):
        log = self.folder / "pare.log"
        run("inspect", models.convolutional(self.folder / "odd.onnx", odd_op=True), "--log", log)
        self.assertIn("warning: the MACs are a lower bound", log.read_text())


class Streams(Front):
    def test_a_closed_stdout_is_a_failure_and_no_crash(self):
        for command in (["--help"], ["--version"], ["inspect", self.model], ["inspect", self.model, "--report", "-"]):
            with self.subTest(command=command):
                result = subprocess.run(["/bin/sh", "-c", 'exec "$0" "$@" >&-', PARE, *command], capture_output=True, text=True)
                self.assertEqual(result.returncode, 1)
                self.assertIn("pare: standard output: cannot be written", result.stderr)

    def test_a_full_device_is_a_failure(self):
        with open("/dev/full", "w") as full:
            result = subprocess.run([PARE, "inspect", self.model], stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual((result.returncode, result.stderr), (1, "pare: standard output: cannot be written\n"))

    def test_an_error_that_cannot_be_said_keeps_its_exit_code(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([PARE, "inspect", self.folder / "no.onnx"], stdout=subprocess.DEVNULL, stderr=full, timeout=60)
        self.assertEqual(done.returncode, 2)

    def test_a_log_is_no_model_and_lies_in_a_folder(self):
        before = pathlib.Path(self.model).read_bytes()
        done = run("inspect", self.model, "--log", self.model)
        self.assert_usage(done, f"--log: {self.model} is a model of this command; name another file")
        self.assertEqual(pathlib.Path(self.model).read_bytes(), before)
        done = run("inspect", self.model, "--log", self.folder / "no/log")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertNotIn("no", self.files())

    def test_a_log_on_a_full_device_is_a_failure(self):
        done = run("inspect", models.convolutional(self.folder / "odd.onnx", odd_op=True), "-q", "--log", "/dev/full")
        self.assertEqual(done.returncode, 1)
        self.assertIn("--log: /dev/full: cannot be written", done.stderr)

    def test_pipes_and_links_to_nothing_are_not_replaced(self):
        pipe, link = self.folder / "pipe.onnx", self.folder / "link.onnx"
        os.mkfifo(pipe)
        link.symlink_to(self.folder / "nowhere")
        for output in (pipe, link):
            done = run("quantize", self.model, "--weights", "int8", "-o", output)
            self.assert_usage(done, f"{output}: exists already; give --force to replace it")

    def test_a_reader_that_went_away_is_a_failure_and_no_signal(self):
        reading, writing = os.pipe()
        os.close(reading)
        result = subprocess.run([PARE, "inspect", self.model], stdout=writing, stderr=subprocess.PIPE, text=True)
        os.close(writing)
        self.assertEqual((result.returncode, result.stderr), (1, "pare: standard output: cannot be written\n"))

    def test_with_all_streams_closed_no_file_takes_their_place(self):
        report = self.folder / "r.json"
        subprocess.run(["/bin/sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', PARE, "inspect", self.model, "--report", str(report)])
        self.assertEqual(json.loads(report.read_text())["command"], "inspect")

    def test_a_report_on_a_full_disk_leaves_nothing_half_written(self):
        limit = 200  # bytes, a file's greatest size: writing more fails as on a full disk
        report = self.folder / "r.json"
        result = run("inspect", self.model, "-q", "--report", report,
                     preexec_fn=lambda: (resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)), __import__("signal").signal(25, 1)))
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, r"\Apare: .*cannot be written .*\n\Z")
        self.assertEqual(self.files(), ["m.onnx"])


class Executable(unittest.TestCase):
    def test_pare_links_neither_torch_nor_hdf5(self):
        libraries = subprocess.run(["ldd", PARE], capture_output=True, text=True, check=True).stdout
        names = [line.split()[0] for line in libraries.splitlines()]  # without the load addresses, which may spell anything
        self.assertTrue(any(name.startswith("libc.so") for name in names), names)
        for part in ("torch", "c10", "hdf5", "libcurl", "cuda"):
            self.assertFalse([name for name in names if part in name])

    def test_it_starts_within_20_ms_and_20_mb(self):
        if "libasan" in subprocess.run(["ldd", PARE], capture_output=True, text=True, check=True).stdout:
            self.skipTest("a sanitizer's own memory counts")
        with tempfile.TemporaryDirectory() as folder:
            model = models.convolutional(pathlib.Path(folder) / "m.onnx")
            for command in (["--version"], ["prune", "--help"], ["inspect", model, "-q", "--report", "-"]):
                times = []
                for _ in range(20):
                    start = time.perf_counter()
                    output = subprocess.run([PARE, *command], stdout=subprocess.PIPE, check=True).stdout
                    times.append(time.perf_counter() - start)
                print(f"pare {command[0]}: {1e3 * min(times):.1f} ms at best")
                self.assertLess(min(times), 0.020)
            peak = json.loads(output)["cost"]["peak_rss"]
            print(f"pare inspect: {peak / 1e6:.1f} MB")
            self.assertLess(peak, 20e6)

    def test_without_siblings_the_error_names_the_way_out(self):
        with tempfile.TemporaryDirectory() as folder:
            alone = shutil.copy(PARE, folder)
            model = models.convolutional(pathlib.Path(folder) / "m.onnx")
            result = subprocess.run([alone, "convert", model, f"{folder}/m.h5"], capture_output=True, text=True)
            self.assertEqual((result.returncode, result.stdout), (1, ""))
            self.assertEqual(result.stderr, "pare: pare-hdf5: not found under libexec/pare beside pare; run scripts/setup.sh, or install "
                                            "pare again\n")


if __name__ == "__main__":
    unittest.main()
