"""check_tree.py: each rule is broken once in a temporary tree, and must be found at its line; a clean tree passes."""
import os
import resource
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
CHECK_TREE = os.path.join(ROOT, "scripts", "check_tree.py")
sys.path.insert(0, os.path.dirname(CHECK_TREE))
import check_tree  # noqa: E402

CLEAN = {
    "src/core/error.hpp": "#pragma once\n",
    "src/core/threads.hpp": "#pragma omp parallel for\n",
    "src/graph/graph.hpp": '#include "src/core/error.hpp"\n',
    "src/graph/passes/fold.cpp": '#include "src/graph/graph.hpp"\n',
    "src/exec/aten.hpp": "#include <ATen/core/Tensor.h>\n",
    "src/train/loop.cpp": '#include <spdlog/spdlog.h>\n#include "src/exec/aten.hpp"\n',
    "src/main.cpp": '#include <CLI/CLI.hpp>\n#include "commands/prune.hpp"\n',
    "kernels/mask.hpp": "#ifdef __CUDACC__\n#endif\n",
    "kernels/mask.cpp": '#include "kernels/mask.hpp"\n',
    "kernels/mask.cu": '#include "kernels/mask.hpp"\n',
    "formats/hdf5_file.hpp": "#include <hdf5.h>\n",
    "compress/mask.cpp": '#include <ATen/ops/mul.h>\n#include "src/train/loop.hpp"\n',
    "src/train/loop.hpp": "",
    "commands/prune.hpp": "",
    "commands/prune.cpp": "#include <CLI/CLI.hpp>\n// a comment may say std::cout, and #pragma omp\n",
    "commands/prune_run.cpp": '#include "src/exec/aten.hpp"\n',
    "tests/kernels/test_mask.cpp": "",
    "tests/graph/test_fold.cpp": "",
    "tests/cli/test_end_to_end.py": "",
    "tests/scripts/test_zoo.py": "",
    "scripts/zoo.sh": "#!/usr/bin/env bash\necho ok\n",
}

# rule: (files to plant, where it must be found, words of the message)
VIOLATIONS = {
    "include order": ({"src/core/a.cpp": '\n#include "src/graph/graph.hpp"\n'}, "src/core/a.cpp:2", "src/core must not include src/graph"),
    "order inside of passes": (
        {"src/graph/passes/a.cpp": '#include "formats/hdf5_file.hpp"\n'}, "src/graph/passes/a.cpp:1", "src/graph must not include formats"),
    "compress before commands": ({"compress/a.cpp": '#include "commands/prune.hpp"\n'}, "compress/a.cpp:1", "must not include commands"),
    "missing include": ({"src/graph/a.cpp": '#include "graph.hpp"\n'}, "src/graph/a.cpp:1", "no such file"),
    "product includes a test": (
        {"src/graph/a.cpp": '#include "tests/support/x.hpp"\n', "tests/support/x.hpp": ""}, "src/graph/a.cpp:1", "file of the tests"),
    "ATen in data": ({"src/data/a.cpp": "#include <ATen/core/Tensor.h>\n"}, "src/data/a.cpp:1", "LibTorch only in"),
    "ATen in a command that parses": ({"commands/a.cpp": "#include <c10/core/Device.h>\n"}, "commands/a.cpp:1", "LibTorch only in"),
    "ATen through another header": (
        {"commands/a.cpp": '#include "commands/prune.hpp"\n#include "src/train/b.hpp"\n', "src/train/b.hpp": '#include "src/exec/aten.hpp"\n'},
        "commands/a.cpp:2", "LibTorch only in"),
    "all of LibTorch": ({"src/exec/a.cpp": "#include <torch/torch.h>\n"}, "src/exec/a.cpp:1", "of each operator"),
    "LibTorch in CUDA": (
        {"kernels/a.cu": "#include <torch/types.h>\n", "kernels/a.hpp": "", "kernels/a.cpp": ""}, "kernels/a.cu:1", "CUDA sources never include LibTorch"),
    "kernel without contract": ({"kernels/a.cu": "", "kernels/a.cpp": ""}, "kernels/a.cu:1", "kernels/a.hpp"),
    "kernel without CPU twin": ({"kernels/a.cu": "", "kernels/a.hpp": ""}, "kernels/a.cu:1", "kernels/a.cpp"),
    "CUDA outside of kernels": ({"src/exec/a.cu": ""}, "src/exec/a.cu:1", "live in kernels/"),
    "#if for CUDA": ({"src/exec/a.cpp": "#ifdef PARE_WITH_CUDA\n#endif\n"}, "src/exec/a.cpp:1", "no #if for CUDA"),
    "compress writes a file": ({"compress/a.cpp": "#include <fstream>\n"}, "compress/a.cpp:1", "no I/O"),
    "compress prints": ({"compress/a.cpp": "\n\nvoid f() { std::cerr << 1; }\n"}, "compress/a.cpp:3", "no I/O"),
    "compress logs": ({"compress/a.cpp": "#include <spdlog/spdlog.h>\n"}, "compress/a.cpp:1", "spdlog only in"),
    "compress reads models": ({"compress/a.cpp": '#include "formats/hdf5_file.hpp"\n'}, "compress/a.cpp:1", "no I/O"),
    "OpenMP pragma": ({"kernels/a.cpp": "  #pragma omp simd\n"}, "kernels/a.cpp:1", "only in src/core/threads.hpp"),
    "OpenMP pragma in a test": ({"tests/kernels/test_mask.cpp": "#pragma omp parallel\n"}, "tests/kernels/test_mask.cpp:1", "src/core/threads.hpp"),
    "CLI11 in core": ({"src/core/a.cpp": "#include <CLI/CLI.hpp>\n"}, "src/core/a.cpp:1", "CLI11 only in"),
    "spdlog in core": ({"src/core/a.cpp": "#include <spdlog/spdlog.h>\n"}, "src/core/a.cpp:1", "spdlog only in"),
    "HDF5 in graph": ({"src/graph/a.cpp": "#include <hdf5.h>\n"}, "src/graph/a.cpp:1", "HDF5 only in"),
    "long file": ({"src/core/a.cpp": "\n" * 501}, "src/core/a.cpp:501", "501 lines"),
    "long script": ({"scripts/a.sh": "#!/usr/bin/env bash\n" + ":\n" * 500}, "scripts/a.sh:501", "501 lines"),
    "registration macro": ({"src/exec/a.cpp": "REGISTER_OP(Relu);\n"}, "src/exec/a.cpp:1", "no static registration"),
    "registrar object": ({"src/exec/a.cpp": 'static OpRegistrar relu("Relu", f);\n'}, "src/exec/a.cpp:1", "no static registration"),
    "registered flag": ({"src/exec/a.cpp": "static const bool relu_registered = add(f);\n"}, "src/exec/a.cpp:1", "no static registration"),
    "constructor function": ({"src/exec/a.cpp": "__attribute__((constructor)) void f();\n"}, "src/exec/a.cpp:1", "no static registration"),
    "unknown folder": ({"src/misc/a.cpp": ""}, "src/misc/a.cpp:1", "outside of the known folders"),
    "unknown top folder": ({"tools/a.hpp": ""}, "tools/a.hpp:1", "outside of the known folders"),
    "test of nothing": ({"tests/kernels/test_gone.cpp": ""}, "tests/kernels/test_gone.cpp:1", "names no source of 'kernels': gone"),
    "test in the wrong folder": ({"tests/core/test_mask.cpp": ""}, "tests/core/test_mask.cpp:1", "names no source of 'core': mask"),
    "test of no script": ({"tests/scripts/test_gone.py": ""}, "tests/scripts/test_gone.py:1", "names no source"),
    "bash syntax": ({"scripts/a.sh": "#!/usr/bin/env bash\nif true; then\n"}, "scripts/a.sh:3", "bash -n"),
    "bash syntax in CI": ({".ci/run": "#!/usr/bin/env bash\necho $(\n"}, ".ci/run:", "bash -n"),
    "python syntax": ({"scripts/a.py": "#!/usr/bin/env python3\ndef f(:\n"}, "scripts/a.py:2", "Python syntax"),
}


def plant(root, files):
    for path, text in files.items():
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(full, 0o755)


def run(*arguments):
    return subprocess.run([sys.executable, CHECK_TREE, *arguments], capture_output=True, text=True, check=False)


class CheckTree(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name

    def test_a_clean_tree_passes(self):
        plant(self.root, CLEAN)
        done = run(self.root)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_each_planted_violation_is_the_only_one_found(self):
        for rule, (files, where, words) in VIOLATIONS.items():
            with self.subTest(rule), tempfile.TemporaryDirectory() as root:
                plant(root, {**CLEAN, **files})
                lines = [f"{path}:{line}: {text}" for path, line, text in check_tree.check(root)]
                self.assertEqual(len(lines), 1, lines)
                self.assertTrue(lines[0].startswith(where), lines[0])
                self.assertIn(words, lines[0])

    def test_a_violation_is_printed_and_fails_the_run(self):
        plant(self.root, {"scripts/a.sh": "#!/usr/bin/env bash\n"})
        os.chmod(os.path.join(self.root, "scripts/a.sh"), 0o644)
        done = run(self.root)
        self.assertEqual((done.returncode, done.stdout), (1, "scripts/a.sh:1: has a #! line but is not executable\n"))

    def test_this_tree_passes_within_two_seconds_of_work(self):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = run()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        self.assertLess(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2)


if __name__ == "__main__":
    unittest.main()
