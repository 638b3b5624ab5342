"""Operators on integers that ONNX Runtime's quantizers write, against ONNX Runtime: quantized results within one step."""
import itertools
import unittest

import numpy
from operator_cases import OperatorCases

random = numpy.random.default_rng(12)
KINDS = (numpy.uint8, numpy.int8)
STEP = "0 1"


def codes(kind, *shape):
    limits = numpy.iinfo(kind)
    return random.integers(limits.min, limits.max + 1, shape).astype(kind)


def zero(kind, *shape):
    """Away from the ends, so that both signs occur."""
    return numpy.asarray(random.integers(100, 150, shape) - (128 if kind == numpy.int8 else 0), kind)


def scale(low, high, *shape):
    return numpy.asarray(random.uniform(low, high, shape), numpy.float32)


def reals(*shape):
    return random.standard_normal(shape).astype(numpy.float32)


def operand(kind, *shape):
    """Codes, scale, zero point: values between about -2.6 and 2.6."""
    return [codes(kind, *shape), scale(0.015, 0.02), zero(kind)]


class Integers(OperatorCases):
    def test_sums_and_products_with_broadcasting(self):
        shapes = [((2, 3, 5), (2, 3, 5)), ((2, 3, 5), (3, 1)), ((5,), (2, 3, 5)), ((2, 1, 7), (3, 1)), ((4, 33), ()), ((1,), (1,))]
        for op, kind, (a, b) in itertools.product(("QLinearAdd", "QLinearMul"), KINDS, shapes):
            self.case(op, operand(kind, *a) + operand(kind, *b) + [scale(0.03, 0.04), zero(kind)], tolerance=STEP)

    def test_functions_of_one_operand(self):
        for kind in KINDS:
            result = [scale(0.004, 0.005), zero(kind)]
            self.case("QLinearSigmoid", operand(kind, 3, 37) + result, tolerance=STEP, constants=(1, 2, 3, 4))
            self.case("QLinearLeakyRelu", operand(kind, 3, 37) + result, tolerance=STEP, alpha=0.3, constants=(1, 2, 3, 4))
            self.case("QLinearGlobalAveragePool", operand(kind, 2, 3, 5, 7) + result, tolerance=STEP)
            low = numpy.asarray(numpy.iinfo(kind).min, kind)
            probability = [numpy.asarray(1 / 256, numpy.float32), low]
            self.case("QLinearSoftmax", operand(kind, 3, 4, 9) + probability, tolerance=STEP, constants=(1, 2, 3, 4), axis=-1, opset=13)
            self.case("QLinearSoftmax", operand(kind, 3, 4, 9) + probability, tolerance=STEP, constants=(1, 2, 3, 4), axis=1, opset=13)
            self.case("QLinearSoftmax", operand(kind, 3, 4, 9) + probability, tolerance=STEP, constants=(1, 2, 3, 4), axis=1, opset=11)

    def test_averages(self):
        for kind in KINDS:
            for attributes in ({"strides": [2, 1]}, {"pads": [1, 0, 1, 1], "count_include_pad": 1}, {"pads": [1, 1, 0, 1]},
                               {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, {"ceil_mode": 1, "strides": [2, 2]}):
                self.case("QLinearAveragePool", operand(kind, 2, 3, 7, 6) + [scale(0.01, 0.012), zero(kind)], tolerance=STEP,
                          kernel_shape=[3, 2], **attributes)

    def test_parts_joined_and_chosen(self):
        for kind in KINDS:
            parts = operand(kind, 2, 3, 5) + operand(kind, 2, 1, 5) + operand(kind, 2, 4, 5)
            self.case("QLinearConcat", [scale(0.02, 0.03), zero(kind)] + parts, tolerance=STEP, axis=1,
                      constants=(0, 1, 3, 4, 6, 7, 9, 10))
            condition = random.integers(0, 2, (3, 1)).astype(bool)
            self.case("QLinearWhere", [condition] + operand(kind, 2, 3, 5) + operand(kind, 5) + [scale(0.02, 0.03), zero(kind)],
                      tolerance=STEP, constants=(2, 3, 5, 6, 7, 8))

    def test_gemm(self):
        for a, b, channels in ((numpy.uint8, numpy.int8, True), (numpy.uint8, numpy.uint8, False), (numpy.int8, numpy.int8, True)):
            axes = (6,) if channels else ()
            weight = [codes(b, 5, 6), scale(0.01, 0.03, *axes), zero(b, *axes) if b == numpy.uint8 else numpy.zeros(axes, b)]
            bias = random.integers(-4000, 4000, 6).astype(numpy.int32)
            common = [codes(a, 3, 5), scale(0.01, 0.02), zero(a)]
            self.case("QGemm", common + weight + [bias, scale(0.08, 0.1), zero(a)], tolerance=STEP, constants=(3, 4, 5, 6))
            self.case("QGemm", common + weight + [None, scale(0.08, 0.1), zero(a)], tolerance=STEP, constants=(3, 4, 5))
            self.case("QGemm", common + weight + [bias], constants=(3, 4, 5, 6), alpha=0.7)
            weight[0] = weight[0].T.copy()
            self.case("QGemm", [common[0].T.copy()] + common[1:] + weight + [bias, scale(0.08, 0.1), zero(a)], tolerance=STEP,
                      constants=(3, 4, 5, 6), transA=1, transB=1)

    def test_products_with_float_results(self):
        for kind, channels in itertools.product(KINDS, (True, False)):
            axes = (7,) if channels else ()
            weight, w_scale, w_zero = codes(kind, 65, 7), scale(0.01, 0.03, *axes), zero(kind, *axes)
            self.case("DynamicQuantizeMatMul", [reals(2, 3, 65), weight, w_scale, w_zero, reals(7)], constants=(1, 2, 3, 4), tolerance="1e-4 1e-3")
            self.case("DynamicQuantizeMatMul", [reals(2, 3, 65), weight, w_scale], tolerance="1e-4 1e-3")
            for other in KINDS:
                if other == numpy.int8 and kind == numpy.uint8:
                    continue  # not in ONNX Runtime
                self.case("MatMulIntegerToFloat", [codes(other, 4, 65), weight, scale(0.01, 0.02), w_scale, zero(other), w_zero, reals(7)],
                          constants=(1,), tolerance="1e-4 1e-3")
                self.case("MatMulIntegerToFloat", [codes(other, 2, 4, 65), weight, scale(0.01, 0.02), w_scale], tolerance="1e-4 1e-3")

    def test_integer_convolutions(self):
        for kind in KINDS:
            x, w = codes(numpy.uint8, 2, 4, 7, 6), codes(kind, 6, 2, 3, 2)
            self.case("ConvInteger", [x, w, zero(numpy.uint8), zero(kind)], tolerance="0 0", domain="", group=2, pads=[1, 0, 1, 1], strides=[2, 1])
            self.case("ConvInteger", [x, w], tolerance="0 0", domain="", group=2, dilations=[1, 2])
            self.case("QLinearConv", [x, scale(0.01, 0.02), zero(numpy.uint8), w, scale(0.01, 0.03, 6), numpy.zeros(6, kind) if kind == numpy.int8
                                      else numpy.full(6, 120, kind), scale(0.06, 0.08), zero(numpy.uint8), random.integers(-900, 900, 6).astype(numpy.int32)],
                      tolerance=STEP, domain="", group=2, constants=(3, 4, 5, 8))

    def test_recurrent_layers(self):
        time, batch, size, hidden = 5, 3, 6, 4
        for kind, channels, direction in itertools.product(KINDS, (True, False), ("forward", "reverse", "bidirectional")):
            d = 2 if direction == "bidirectional" else 1
            axes = (d, 4 * hidden) if channels else (d,)
            middle = numpy.zeros(axes, kind) if kind == numpy.int8 else numpy.full(axes, 128, kind)
            weights = [codes(kind, d, size, 4 * hidden), codes(kind, d, hidden, 4 * hidden)]
            scales = [scale(0.004, 0.006, *axes), middle, scale(0.004, 0.006, *axes), middle]
            states = [reals(d, batch, hidden), reals(d, batch, hidden), None]
            self.case("DynamicQuantizeLSTM", [reals(time, batch, size)] + weights + [reals(d, 8 * hidden), None] + states + scales, outputs=3,
                      constants=(1, 2, 3, 8, 9, 10, 11), tolerance="0 2e-3", hidden_size=hidden, direction=direction)
            self.case("DynamicQuantizeLSTM", [reals(time, batch, size)] + weights + [None, None, None, None, None] + scales,
                      outputs=["y", "", "c"], constants=(1, 2, 8, 9, 10, 11), tolerance="0 2e-3", hidden_size=hidden, direction=direction)

    def test_attention(self):
        for kind, mask in itertools.product(KINDS, (None, numpy.array([3, 5], numpy.int32))):
            self.case("QAttention", [codes(numpy.uint8, 2, 5, 6), codes(kind, 6, 24), reals(24), scale(0.01, 0.02), scale(0.003, 0.004), mask,
                                     zero(numpy.uint8), zero(kind)], constants=(1, 2, 4, 7), tolerance="1e-4 1e-3", num_heads=2)
        self.case("QAttention", [codes(numpy.uint8, 2, 5, 6), codes(numpy.int8, 6, 24), reals(24), scale(0.01, 0.02), scale(0.003, 0.004, 24), None,
                                 zero(numpy.uint8), numpy.zeros(24, numpy.int8), reals(2, 2, 2, 3, 4)], outputs=2, constants=(1, 2, 4, 7), tolerance="1e-4 1e-3", num_heads=2, unidirectional=1)

    def test_embeddings(self):
        kind = numpy.uint8
        ids, segments = random.integers(0, 11, (2, 5)).astype(numpy.int32), random.integers(0, 3, (2, 5)).astype(numpy.int32)
        tables = [codes(kind, 11, 8), codes(kind, 6, 8), codes(kind, 3, 8), codes(kind, 8), codes(kind, 8)]
        scales = [scale(0.01, 0.02) for _ in tables]
        zeros = [zero(kind) for _ in tables]
        mask = numpy.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], numpy.int32)
        self.case("QEmbedLayerNormalization", [ids, segments] + tables + [mask] + scales + zeros, outputs=2, constants=tuple(range(2, 7)) + tuple(range(8, 18)))
        without = [None if i == 2 else table for i, table in enumerate(tables)]
        self.case("QEmbedLayerNormalization", [ids, None] + without + [None] + [None if i == 2 else s for i, s in enumerate(scales)]
                  + [None if i == 2 else z for i, z in enumerate(zeros)], outputs=2, epsilon=1e-3)


if __name__ == "__main__":
    unittest.main()
