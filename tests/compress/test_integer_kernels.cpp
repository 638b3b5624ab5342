#include <doctest/doctest.h>

#include "compress/integer_kernels.hpp"
#include "tests/support/graph_builder.hpp"

namespace pare::test {

TEST_CASE("integer_kernels: of an optimized graph, by operator in any domain") {
  GraphBuilder b;
  const ValueId x = b.input("x", {1, 2, 4, 4});
  ValueId y = b.node("QLinearConv", {x});
  y = b.node("QLinearConv", {y}, {}, "com.microsoft");
  y = b.node("FusedConv", {y}, {}, "com.microsoft");
  y = b.node("QGemm", {b.node("Flatten", {y})}, {}, "com.microsoft");
  y = b.node("MatMulIntegerToFloat", {y}, {}, "com.microsoft");
  const IntegerKernels kernels = integer_kernels(b.finish(b.node("MatMul", {y, b.weight("w", {4, 4})})));
  CHECK((kernels.convolutions.integer == 2 && kernels.convolutions.all == 3));
  CHECK((kernels.products.integer == 2 && kernels.products.all == 3));
}

TEST_CASE("integer_kernels: what a placement lets expect is less where values stay float") {
  const Graph graph = small_cnn();
  const auto all = [](const std::string&) { return true; };
  const IntegerKernels whole = integer_kernels(graph, place_quantization(graph, all));
  CHECK((whole.convolutions.integer == 2 && whole.convolutions.all == 2));
  CHECK((whole.products.integer == 1 && whole.products.all == 1));
  const auto some = [](const std::string& weight) { return weight != "conv1" && weight != "fc"; };
  const IntegerKernels part = integer_kernels(graph, place_quantization(graph, some));
  CHECK((part.convolutions.integer == 1 && part.convolutions.all == 2));
  CHECK((part.products.integer == 0 && part.products.all == 1));
}

}  // namespace pare::test
