#!/usr/bin/env python3
"""Checks the rules of the source tree: layers, who may use which library, file sizes, names, tests that mirror the tree.

Usage: check_tree.py [ROOT]

Prints one line a violation, `path:line: rule`, and exits with 1 if there is one. Standard library only.
"""
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

# An include points to the left only.
LAYERS = ["src/core", "kernels", "src/graph", "formats", "src/exec", "src/data", "src/train", "compress", "commands", "src/main.cpp"]
NESTED = {"src/graph/passes": "src/graph"}  # the folders inside a layer
SOURCE = (".cpp", ".hpp", ".cu", ".cuh")
COUNTED = SOURCE + (".py", ".sh", ".cmake", ".txt")
MAX_LINES = 500
SKIPPED_FOLDERS = {"build", "__pycache__", "node_modules", "shared"}

TORCH = re.compile(r"<(ATen|torch|c10|caffe2)/")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"][^>"]+[>"])')
IO = re.compile(r"\bstd::(cout|cerr|clog|[io]?fstream)\b|\b(f?printf|puts|fopen|fmt::print)\s*\(")
IO_HEADERS = re.compile(r'<(iostream|fstream|cstdio|stdio\.h|fcntl\.h|unistd\.h|filesystem)>|"(formats/.*|src/core/(files|log|progress)\.hpp)"')
REGISTRATION = re.compile(
    r"^\s*REGISTER_\w+\s*\(|\bstatic\s+(const\s+|inline\s+)*\w*[Rr]egistr(ar|y|ation|ator)\w*(<[^;]*>)?\s+\w+\s*[({=;]"
    r"|\bstatic\s+(const\s+)?(bool|int|auto)\s+\w*(registered|registrar|dummy)\w*\s*[({=]|__attribute__\s*\(\(\s*constructor|\[\[gnu::constructor"
)
CUDA_IF = re.compile(r"^\s*#\s*(el)?if(n?def)?\b.*CUDA(?!CC__|_ARCH__)")
OMP = re.compile(r"^\s*#\s*pragma\s+omp\b|\b_Pragma\s*\(\s*\"omp\b")
COMMENT = re.compile(r"//.*")


def layer_of(path):
    """The layer of a source file, or None outside of the layers."""
    folder = os.path.dirname(path)
    for layer in (path, folder, NESTED.get(folder)):
        if layer in LAYERS:
            return layer
    return None


def may_use_torch(path):
    layer = layer_of(path)
    return layer in ("src/exec", "src/train", "compress") or (layer == "commands" and re.search(r"_run\.[ch]pp$", path) is not None)


class Tree:
    def __init__(self, root):
        self.root = root
        self.files = sorted(self._walk())
        self.known = set(self.files)
        self.violations = set()
        self.torch_path = lru_cache(maxsize=None)(self._torch_path)

    def _walk(self):
        for folder, names, files in os.walk(self.root):
            names[:] = [
                n for n in names
                if not n.startswith(".") and n not in SKIPPED_FOLDERS and not os.path.exists(os.path.join(folder, n, "CMakeCache.txt"))
            ]
            for name in files:
                yield os.path.relpath(os.path.join(folder, name), self.root)
        if os.path.exists(os.path.join(self.root, ".ci/run")):
            yield ".ci/run"

    @lru_cache(maxsize=None)
    def lines(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as file:
            return file.read().split("\n")

    @lru_cache(maxsize=None)
    def includes(self, path):
        """[(line number, include as written with its <> or "")]"""
        matches = ((number, INCLUDE.match(line)) for number, line in enumerate(self.lines(path), 1))
        return [(number, match.group(1)) for number, match in matches if match]

    def _torch_path(self, path, seen=()):
        """How `path` reaches a LibTorch header: the first include of that way, as (line number, include), or None."""
        for number, include in self.includes(path):
            target = include[1:-1]
            if TORCH.match(include):
                return number, include
            if include[0] == '"' and target in self.known and target not in seen and self._torch_path(target, (*seen, path)):
                return number, include
        return None

    def report(self, path, line, rule):
        self.violations.add((path, line, rule))


def check_place(tree, path):
    if layer_of(path) or path.startswith("tests/"):
        if path.endswith((".cu", ".cuh")) and not path.startswith(("kernels/", "tests/")):
            tree.report(path, 1, "CUDA sources live in kernels/")
    else:
        tree.report(path, 1, "a source file outside of the known folders")


def check_includes(tree, path):
    layer = layer_of(path)
    for number, include in tree.includes(path):
        target = include[1:-1]
        if include[0] == '"':
            if target not in tree.known:
                tree.report(path, number, f"no such file from the root of the tree: {target}")
            elif target.startswith("tests/"):
                tree.report(path, number, "the product includes a file of the tests")
            elif layer_of(target) and LAYERS.index(layer_of(target)) > LAYERS.index(layer):
                tree.report(path, number, f"{layer} must not include {layer_of(target)} (order: {' < '.join(LAYERS)})")
        if include.startswith("<CLI/") and layer not in ("commands", "src/main.cpp"):
            tree.report(path, number, "CLI11 only in commands/ and src/main.cpp")
        if include.startswith("<spdlog/") and layer not in ("commands", "src/train"):
            tree.report(path, number, "spdlog only in commands/ and src/train")
        if include in ("<torch/torch.h>", "<torch/all.h>", "<ATen/ATen.h>"):
            tree.report(path, number, "include <ATen/ops/NAME.h> of each operator, not all of LibTorch")
        if include in ("<hdf5.h>", "<H5public.h>") and not os.path.basename(path).startswith("hdf5"):
            tree.report(path, number, "HDF5 only in files named hdf5*")
        if layer == "compress" and IO_HEADERS.fullmatch(include):
            tree.report(path, number, "compress/ does no I/O and does not log")


def check_torch(tree, path):
    way = tree.torch_path(path)
    if way is None:
        return
    if path.endswith((".cu", ".cuh")):
        tree.report(path, way[0], f"CUDA sources never include LibTorch ({way[1]})")
    elif not may_use_torch(path):
        tree.report(path, way[0], f"LibTorch only in src/exec, src/train, compress/ and commands/*_run ({way[1]})")


def check_text(tree, path):
    layer = layer_of(path)
    for number, line in enumerate(tree.lines(path), 1):
        code = COMMENT.sub("", line)
        if OMP.search(code) and path != "src/core/threads.hpp":
            tree.report(path, number, "OpenMP pragmas only in src/core/threads.hpp (use parallel_for)")
        if layer is None:
            continue
        if layer == "compress" and IO.search(code):
            tree.report(path, number, "compress/ does no I/O and does not log")
        if REGISTRATION.search(code):
            tree.report(path, number, "no static registration: add a row to a table")
        if CUDA_IF.search(code) and layer != "kernels":
            tree.report(path, number, "no #if for CUDA: link kernels/cuda_absent.cpp")


def check_kernel_family(tree, path):
    stem = os.path.splitext(path)[0]
    for suffix in (".hpp", ".cpp"):
        if stem + suffix not in tree.known:
            tree.report(path, 1, f"{path} needs its twin {stem}{suffix}")


def check_test_mirrors(tree, path):
    """tests/<folder>/test_x.cpp tests x of that layer; tests/scripts/test_x.py tests scripts/x."""
    folder, name = os.path.split(path)
    folder = folder.removeprefix("tests/")
    if folder in ("cli", "support") or not name.startswith("test_"):
        return
    subject = os.path.splitext(name)[0].removeprefix("test_")
    if folder == "scripts":
        candidates = [f"scripts/{subject}{suffix}" for suffix in (".sh", ".py")]
    elif name.endswith(".py"):
        return  # a subject, not a file
    else:
        homes = [home for home in LAYERS if os.path.basename(home) == folder]
        homes += [inner for inner, home in NESTED.items() if home in homes]
        candidates = [f"{home}/{subject}{suffix}" for home in homes for suffix in SOURCE]
    if not any(candidate in tree.known for candidate in candidates):
        tree.report(path, 1, f"names no source of '{folder}': {subject}")


def check_size(tree, path):
    lines = len(tree.lines(path)) - 1
    if lines > MAX_LINES:
        tree.report(path, MAX_LINES + 1, f"{lines} lines, {MAX_LINES} at most: split it")


def check_script(tree, path):
    full = os.path.join(tree.root, path)
    if not tree.lines(path)[0].startswith("#!") and not path.endswith(".sh"):
        return
    if tree.lines(path)[0].startswith("#!") and not os.access(full, os.X_OK):
        tree.report(path, 1, "has a #! line but is not executable")
    if path.endswith(".py"):
        try:
            compile("\n".join(tree.lines(path)), path, "exec")
        except SyntaxError as error:
            tree.report(path, error.lineno or 1, f"Python syntax: {error.msg}")
        return
    run = subprocess.run(["bash", "-n", full], capture_output=True, text=True, check=False)
    if run.returncode:
        found = re.search(r"line (\d+): (.*)", run.stderr)
        tree.report(path, int(found.group(1)) if found else 1, f"bash -n: {found.group(2) if found else run.stderr.strip()}")


def check(root):
    tree = Tree(root)
    for path in tree.files:
        if path.endswith(COUNTED):
            check_size(tree, path)
        if path.endswith(SOURCE):
            check_place(tree, path)
            check_text(tree, path)
            if layer_of(path):
                check_includes(tree, path)
                check_torch(tree, path)
            if path.startswith("kernels/") and path.endswith(".cu"):
                check_kernel_family(tree, path)
        if path.startswith("tests/") and path.endswith((".cpp", ".py")):
            check_test_mirrors(tree, path)
    scripts = [path for path in tree.files if path.startswith("scripts/") or path.endswith(".sh") or path == ".ci/run"]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda path: check_script(tree, path), scripts))
    return sorted(tree.violations)


def main():
    if any(argument in ("-h", "--help") for argument in sys.argv[1:]):
        print(__doc__.strip())
        return 0
    if len(sys.argv) > 2:
        print("check_tree.py: at most one argument; see --help", file=sys.stderr)
        return 2
    root = sys.argv[1] if len(sys.argv) == 2 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    violations = check(os.path.normpath(root))
    for path, line, rule in violations:
        print(f"{path}:{line}: {rule}")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
