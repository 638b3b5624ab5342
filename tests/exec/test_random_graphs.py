"""Random graphs: pare's executor gives what ONNX Runtime gives, also after constants are folded and after the graph was written and read
again; the types and shapes that are inferred are those of a run. Seeds and their number: PARE_RANDOM_GRAPHS=FIRST:COUNT."""
import collections
import os
import pathlib
import tempfile
import unittest

from operator_cases import run_cases, write_case
from random_graphs import RandomGraph

FIRST, COUNT = (int(part) for part in os.environ.get("PARE_RANDOM_GRAPHS", "1:150").split(":"))


class RandomGraphs(unittest.TestCase):
    def test_equal_to_onnx_runtime(self):
        ops = collections.Counter()
        refused = 0
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary)
            for seed in range(FIRST, FIRST + COUNT):
                graph = RandomGraph(seed, 5 + seed % 36)
                if graph.outputs is None:
                    refused += 1
                    continue
                ops.update(graph.ops)
                write_case(folder / f"seed_{seed:06}", graph.model, graph.inputs, graph.outputs, ["1e-3 1e-3"])
            lines = run_cases(folder)
        print(f"{COUNT} graphs, {sum(ops.values())} nodes of {len(ops)} operators")
        self.assertEqual([line for line in lines if not line.startswith("pass ")], [])
        self.assertEqual(len(lines), COUNT - refused)
        self.assertLess(refused, 0.05 * COUNT)
        self.assertGreaterEqual(len(ops), 100)


if __name__ == "__main__":
    unittest.main()
