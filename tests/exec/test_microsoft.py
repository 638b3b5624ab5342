"""Operators of com.microsoft that ONNX Runtime's optimizer writes, against ONNX Runtime."""
import unittest

import numpy
from operator_cases import OperatorCases

random = numpy.random.default_rng(11)


def reals(*shape):
    return random.standard_normal(shape).astype(numpy.float32)


def whole(high, *shape):
    return random.integers(0, high, shape).astype(numpy.int32)


class Microsoft(OperatorCases):
    def test_products_with_weights_in_blocks(self):
        k, n, block = 70, 9, 32
        blocks = (k + block - 1) // block
        for bits in (4, 8):
            weight = random.integers(0, 256, (n, blocks, block * bits // 8)).astype(numpy.uint8)
            scales = (0.01 + random.random(n * blocks)).astype(numpy.float32)
            zeros = random.integers(0, 256, n * ((blocks * bits + 7) // 8)).astype(numpy.uint8)
            for zero in (None, zeros):
                # accuracy_level 1: ONNX Runtime leaves x in fp32
                self.case("MatMulNBits", [reals(2, 3, k), weight, scales, zero], constants=(1, 2) if zero is None else (1, 2, 3),
                          K=k, N=n, bits=bits, block_size=block, accuracy_level=1)

    def test_skipped_normalizations(self):
        x, skip, gamma, beta, bias = reals(2, 5, 8), reals(2, 5, 8), reals(8), reals(8), reals(8)
        self.case("SkipLayerNormalization", [x, skip, gamma, beta, bias], outputs=["y", "", "", "sum"], epsilon=1e-3)
        self.case("SkipLayerNormalization", [x, skip, gamma], epsilon=1e-3)
        self.case("SkipSimplifiedLayerNormalization", [x, skip, gamma, bias], outputs=["y", "", "", "sum"], epsilon=1e-3)
        self.case("SimplifiedLayerNormalization", [x, gamma], outputs=2, domain="", epsilon=1e-3)
        self.case("SimplifiedLayerNormalization", [x, reals(5, 8)], domain="", axis=1)

    def test_gelus(self):
        x, bias = 3 * reals(4, 6), reals(6)
        self.case("BiasGelu", [x, bias])
        self.case("FastGelu", [x, bias])
        self.case("FastGelu", [x])
        self.case("Gelu", [x])
        self.case("QuickGelu", [x], alpha=1.5)

    def test_fused_products(self):
        self.case("FusedMatMul", [reals(2, 5, 3), reals(2, 4, 5)], transA=1, transB=1, alpha=0.5)
        self.case("FusedMatMul", [reals(7, 5), reals(3, 5, 4)], alpha=2.0)
        self.case("FusedMatMul", [reals(3, 2, 4, 5), reals(7, 2, 4, 5)], transBatchA=1, transBatchB=1, transB=1)
        self.case("FusedMatMul", [reals(5, 3, 2), reals(3, 4, 5)], transBatchA=1, transA=1, transB=1)

    def test_fused_layers(self):
        x, w, bias = reals(2, 4, 7, 6), reals(5, 4, 3, 2), reals(5)
        self.case("FusedConv", [x, w], activation="Relu", pads=[1, 0, 1, 1], strides=[2, 1])
        self.case("FusedConv", [x, w, bias], activation="LeakyRelu", activation_params=[0.2])
        self.case("FusedConv", [x, w, bias], activation="Clip", activation_params=[-0.5, 0.7])
        self.case("FusedConv", [x, w, bias], activation="HardSigmoid", activation_params=[0.3, 0.4])
        self.case("FusedConv", [x, reals(6, 2, 3, 3), None, reals(2, 6, 5, 4)], group=2, activation="Tanh")
        for activation in ("Relu", "Sigmoid", "Tanh", "Softsign"):
            self.case("FusedGemm", [reals(5, 3), reals(2, 5), reals(2)], transA=1, transB=1, alpha=0.5, beta=2.0, activation=activation)
        self.case("FusedGemm", [reals(3, 5), reals(5, 2)], activation="LeakyRelu", activation_alpha=0.3)
        self.case("FusedGemm", [reals(3, 5), reals(5, 2), reals(3, 1)], activation="HardSigmoid", activation_alpha=0.3, activation_beta=0.4)

    def test_attention_of_one_input(self):
        x, w, bias = reals(2, 5, 6), reals(6, 24), reals(24)
        self.case("Attention", [x, w, bias], num_heads=2)
        self.case("Attention", [x, w], num_heads=4, scale=0.3)
        self.case("Attention", [x, w, bias], num_heads=2, unidirectional=1)
        self.case("Attention", [x, reals(6, 26), reals(26)], num_heads=2, qkv_hidden_sizes=[8, 8, 10])
        self.case("Attention", [x, w, bias, numpy.array([3, 5], numpy.int32)], num_heads=2)
        self.case("Attention", [x, w, bias, numpy.array([3, 5, 0, 2], numpy.int32)], num_heads=2)
        self.case("Attention", [x, w, bias, numpy.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], numpy.int32)], num_heads=2, mask_filter_value=-100.0)
        self.case("Attention", [x, w, bias, whole(2, 2, 5, 5)], num_heads=2)
        self.case("Attention", [x, w, bias, None, None, reals(2, 2, 5, 5)], num_heads=2)
        self.case("Attention", [x, w, bias, None, None, reals(1, 2, 5, 5)], num_heads=2, unidirectional=1)
        self.case("Attention", [x, w, bias, whole(2, 2, 8), reals(2, 2, 2, 3, 4)], outputs=2, num_heads=2, unidirectional=1)

    def test_attention_of_queries_and_keys(self):
        q, k, v = reals(2, 5, 8), reals(2, 7, 8), reals(2, 7, 12)
        self.case("MultiHeadAttention", [q, k, v], num_heads=2)
        self.case("MultiHeadAttention", [q, k, v, reals(28)], num_heads=4, scale=0.3)
        self.case("MultiHeadAttention", [q, k, v, None, numpy.array([4, 7], numpy.int32)], num_heads=2)
        self.case("MultiHeadAttention", [q, k, v, None, whole(2, 2, 7)], num_heads=2)
        self.case("MultiHeadAttention", [q, k, v, reals(28), None, reals(1, 2, 5, 7)], num_heads=2)
        self.case("MultiHeadAttention", [q, q, q], num_heads=2, unidirectional=1)
        self.case("MultiHeadAttention", [q, q, q, reals(24), None, None, reals(2, 2, 3, 4), reals(2, 2, 3, 4)], outputs=3, num_heads=2)
        self.case("MultiHeadAttention", [q, reals(2, 2, 7, 4), reals(2, 2, 7, 4)], num_heads=2)

    def test_embeddings(self):
        ids, segments = whole(11, 2, 5), whole(3, 2, 5)
        words, positions, kinds, gamma, beta = reals(11, 8), reals(6, 8), reals(3, 8), reals(8), reals(8)
        mask = numpy.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], numpy.int32)
        self.case("EmbedLayerNormalization", [ids, segments, words, positions, kinds, gamma, beta, mask], outputs=3, epsilon=1e-3)
        self.case("EmbedLayerNormalization", [ids, None, words, positions, None, gamma, beta], outputs=2)
        self.case("EmbedLayerNormalization", [ids, segments, words, positions, kinds, gamma, beta, None, whole(6, 2, 5)], outputs=2)


if __name__ == "__main__":
    unittest.main()
