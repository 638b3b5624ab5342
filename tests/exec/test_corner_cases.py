"""What random graphs found, an operator at a time: empty tensors, single numbers, integers, windows in the pads, positions in between."""
import unittest

import numpy
from onnx import TensorProto, helper, numpy_helper
from operator_cases import OperatorCases, session, write_case

random = numpy.random.default_rng(13)


def reals(*shape):
    return random.standard_normal(shape).astype(numpy.float32)


def integers(*values):
    return numpy.array(values, numpy.int64)


class CornerCases(OperatorCases):
    def plain(self, op, inputs, constants=(), **settings):
        self.case(op, inputs, constants=constants, domain="", **settings)

    def model(self, name, nodes, dims, inputs, constants=()):
        """A graph whose inputs have open sizes."""
        ports = [helper.make_tensor_value_info(port, TensorProto.FLOAT, shape) for port, shape in dims.items()]
        initializers = [numpy_helper.from_array(array, key) for key, array in dict(constants).items()]
        graph = helper.make_graph(nodes, "g", ports, [helper.make_empty_tensor_value_info("y")], initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10).SerializeToString()
        self.names.append(name)
        write_case(self.folder / name, model, inputs, session(model).run(None, inputs), ["1e-4 1e-4"])

    def test_images_of_repeated_elements(self):
        for coordinates in ("asymmetric", "half_pixel", "align_corners"):
            for nearest in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil"):
                for height, width in ((2, 2), (8, 4), (1, 2), (3, 2), (49, 64)):
                    sizes = integers(2, 3, 3 * height, 5 * width)
                    self.plain("Resize", [reals(2, 3, 3, 5), None, None, sizes], constants=(3,), mode="nearest", nearest_mode=nearest,
                               coordinate_transformation_mode=coordinates)
        self.plain("Resize", [reals(0, 3, 3, 5), None, numpy.array([1, 1, 2, 2], numpy.float32)], constants=(2,), mode="nearest")

    def test_slices_backwards_begin_inside(self):
        x = reals(1, 3, 5)
        for start, end, axis in ((-4, -9, 0), (-9, -99, 2), (9, -9, 1), (2, 0, 2), (-1, -4, 2)):
            for constants in ((), (1, 2, 3, 4)):
                self.plain("Slice", [x, integers(start), integers(end), integers(axis), integers(-2)], constants=constants)
        self.plain("Slice", [reals(0, 3), integers(-1), integers(-9), integers(0), integers(-1)])

    def test_transposed_kernels_shorter_than_the_stride(self):
        for pad in ("SAME_UPPER", "SAME_LOWER"):
            self.plain("ConvTranspose", [reals(2, 3, 1, 2), reals(3, 2, 1, 2)], auto_pad=pad, strides=[2, 2])
            self.plain("ConvTranspose", [reals(1, 1, 4), reals(1, 2, 3)], auto_pad=pad, strides=[2])

    def test_reductions_of_single_elements(self):
        for op in ("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare", "ReduceMax", "ReduceProd"):
            x = abs(reals(3, 5)) + 1 if op == "ReduceLogSum" else reals(3, 5)
            self.plain(op, [x], noop_with_empty_axes=1)
            self.plain(op, [x[0, 0]])
        for op in ("ReduceL1", "ReduceL2", "ReduceMean", "ReduceSumSquare"):
            self.plain(op, [random.integers(-9, 9, (3, 5)).astype(numpy.int32), integers(1)])

    def test_nothing(self):
        self.plain("Range", [numpy.array(n, numpy.int64) for n in (1, -3, 2)])
        self.plain("Range", [numpy.array(n, numpy.float32) for n in (1, 4, -0.5)])
        self.plain("BatchNormalization", [reals(0, 3, 2), reals(3), reals(3), reals(3), abs(reals(3))])
        self.plain("LRN", [reals(1, 3, 0, 2)], size=3)
        self.plain("ReduceMax", [numpy.zeros((0, 3), numpy.int64), integers(0)])
        self.plain("ReduceMin", [numpy.zeros((0, 3), numpy.int32), integers(0)])

    def test_windows_that_reach_into_pads(self):
        self.plain("AveragePool", [reals(2, 1, 1, 1, 1)], kernel_shape=[3, 1, 1], auto_pad="SAME_LOWER", count_include_pad=1)
        self.plain("AveragePool", [reals(1, 2, 1)], kernel_shape=[2], dilations=[2], pads=[1, 1])

    def test_nearest_of_positions_in_between(self):
        for size, scaled in ((5, 7), (3, 7), (7, 5), (4, 6), (9, 7)):
            for nearest in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil"):
                for coordinates in ("half_pixel", "asymmetric", "align_corners"):
                    self.plain("Resize", [reals(1, 1, size), None, None, integers(1, 1, scaled)], constants=(3,), mode="nearest", nearest_mode=nearest,
                               coordinate_transformation_mode=coordinates)

    def test_open_sizes_may_be_1(self):
        nodes = [helper.make_node("Squeeze", ["x"], ["s"]), helper.make_node("Shape", ["s"], ["y"])]
        self.model("squeeze", nodes, {"x": ("n", 3, "t")}, {"x": reals(1, 3, 1)})

    def test_nodes_in_any_order(self):
        branch = [helper.make_graph([helper.make_node(op, ["later"], [op])], "b", [], [helper.make_empty_tensor_value_info(op)]) for op in ("Neg", "Exp")]
        nodes = [helper.make_node("If", ["yes"], ["y"], then_branch=branch[0], else_branch=branch[1]), helper.make_node("Tanh", ["x"], ["later"])]
        self.model("captured", nodes, {"x": ("n", 3)}, {"x": reals(2, 3)}, {"yes": numpy.array(True)})


if __name__ == "__main__":
    unittest.main()
