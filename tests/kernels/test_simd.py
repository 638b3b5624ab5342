"""Every loop that the kernels compile once per instruction set (PARE_SIMD) was vectorised with 256- or 512-bit registers."""
import os
import re
import shutil
import subprocess
import unittest

VARIANT = re.compile(r"^[0-9a-f]+ <(?:\w+::|\(anonymous namespace\)::)*(\w+)\(.*\) \[clone \.arch_x86[-_]64[-_]v([34])[.\d]*\]>:$")


def wide_instructions(archive):
    """(file, function, level) -> instructions on wide registers, of all variants in the archive."""
    listing = subprocess.run(["objdump", "--disassemble", "--demangle", "--no-show-raw-insn", archive], check=True, capture_output=True,
                             text=True).stdout
    counts = {}
    file = current = None
    for line in listing.splitlines():
        if "file format" in line:
            file = line.split(":")[0]
        elif line.endswith(">:"):
            variant = VARIANT.match(line)
            current = (file, variant[1], variant[2]) if variant else None
            if current:
                counts.setdefault(current, 0)
        elif current and re.search(r"%[yz]mm", line):
            counts[current] += 1
    return counts


@unittest.skipUnless(os.uname().machine == "x86_64" and shutil.which("objdump"), "needs x86-64 and objdump")
class SimdTest(unittest.TestCase):
    def test_every_variant_is_vectorised(self):
        build = os.path.dirname(os.environ["PARE"])
        with open(os.path.join(build, "CMakeCache.txt")) as cache:
            if "CMAKE_BUILD_TYPE:STRING=Release\n" not in cache.read():
                self.skipTest("not a release build")
        counts = wide_instructions(os.path.join(build, "libpare_base.a"))
        self.assertGreater(len(counts), 20)
        scalar = sorted(f"{file}: {function} for x86-64-v{level}" for (file, function, level), count in counts.items() if count < 2)
        self.assertEqual(scalar, [])


if __name__ == "__main__":
    unittest.main()
