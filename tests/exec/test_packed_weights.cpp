#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/empty.h>
#include <doctest/doctest.h>

#include "src/core/error.hpp"
#include "src/exec/executor.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;

namespace {

at::Tensor normal(const std::vector<int64_t>& shape) {
  at::Tensor x = at::empty(shape);
  auto* values = x.mutable_data_ptr<float>();
  for (int64_t i = 0; i < x.numel(); ++i) values[i] = random_normal({5, 2}, static_cast<uint64_t>(i));
  return x;
}

// Runs of one plan, packed for the first shape, against plans that pack nothing.
void check_runs(const Graph& graph, const std::vector<std::vector<int64_t>>& shapes) {
  const Executor fixed(graph, Constants::given, Weights::fixed);
  const Executor changing(graph);
  const Parameters parameters(graph, at::kCPU, Training::off);
  for (const auto& shape : shapes)
    for (const bool gradients : {false, true}) {
      const c10::AutoGradMode mode(gradients);
      const at::Tensor x = normal(shape);
      const at::Tensor expected = changing.run(parameters, {&x, 1}, false).at(0);
      const at::Tensor y = fixed.run(parameters, {&x, 1}, false).at(0);
      INFO(shape.front(), " samples, gradients ", gradients);
      CHECK(y.sizes() == expected.sizes());
      CHECK(at::allclose(y, expected, 1e-5, 1e-5));
    }
}

}  // namespace

TEST_CASE("packed_weights: convolutions of any kind and size equal those of plain weights") {
  for (const int64_t group : {1, 4})
    for (const std::vector<int64_t>& strides : {std::vector<int64_t>{1, 1}, {2, 1}}) {
      test::GraphBuilder b;
      const ValueId x = b.input("x", {-1, 4, -1, -1});
      const ValueId w = b.weight("w", {8, 4 / group, 3, 3});
      const ValueId bias = b.weight("bias", {8});
      const Graph graph = b.finish(b.node(
          "Conv", {x, w, bias}, {{"strides", strides}, {"pads", std::vector<int64_t>{1, 1, 1, 1}}, {"group", group}}));
      check_runs(graph, {{2, 4, 9, 7}, {1, 4, 33, 20}, {2, 4, 9, 7}});
    }
}

TEST_CASE("packed_weights: an uneven padding is not packed, and equal") {
  test::GraphBuilder b;
  const ValueId x = b.input("x", {-1, 3, 8, 8});
  const Graph graph =
      b.finish(b.node("Conv", {x, b.weight("w", {5, 3, 3, 3})}, {{"pads", std::vector<int64_t>{1, 0, 0, 1}}}));
  check_runs(graph, {{2, 3, 8, 8}});
}

TEST_CASE("packed_weights: products with matrices in both orientations, for other numbers of rows too") {
  const std::vector<std::vector<int64_t>> rows = {{20, 33}, {7, 33}, {1, 33}, {20, 33}, {300, 33}};
  for (const int64_t transposed : {0, 1}) {
    test::GraphBuilder b;
    const ValueId x = b.input("x", {-1, 33});
    const ValueId w = b.weight("w", transposed != 0 ? Shape{17, 33} : Shape{33, 17});
    check_runs(b.finish(b.node("Gemm", {x, w, b.weight("bias", {17})}, {{"transB", transposed}})), rows);
  }
  test::GraphBuilder b;
  const ValueId x = b.input("x", {-1, 5, 33});
  check_runs(b.finish(b.node("MatMul", {x, b.weight("w", {33, 17})})), {{4, 5, 33}, {2, 5, 33}});
}

TEST_CASE("packed_weights: a Gemm that scales is not packed, and equal") {
  test::GraphBuilder b;
  const ValueId x = b.input("x", {-1, 6});
  const Graph graph =
      b.finish(b.node("Gemm", {x, b.weight("w", {6, 4}), b.weight("bias", {4})}, {{"alpha", 0.5F}, {"beta", 2.0F}}));
  check_runs(graph, {{3, 6}});
}

TEST_CASE("packed_weights: a bias of one number is for all columns") {
  test::GraphBuilder b;
  const ValueId x = b.input("x", {-1, 6});
  check_runs(b.finish(b.node("Gemm", {x, b.weight("w", {6, 4}), b.filled("bias", {1}, 0.5F)})), {{3, 6}});
}

TEST_CASE("packed_weights: sizes that do not fit are refused as without packing, with the node's name") {
  const auto refused = [](const Graph& graph, const std::vector<int64_t>& shape, const std::string& node) {
    const Executor executor(graph, Constants::given, Weights::fixed);
    const Parameters parameters(graph, at::kCPU, Training::off);
    const c10::AutoGradMode no_grad(false);
    const at::Tensor x = normal(shape);
    try {
      executor.run(parameters, {&x, 1}, false);
      FAIL("expected an error");
    } catch (const Error& error) {
      CHECK(error.code() == ExitCode::bad_input);
      CHECK(std::string(error.what()).find(node) != std::string::npos);
    }
  };
  test::GraphBuilder conv;
  const ValueId image = conv.input("x", {-1, -1, 8, 8});
  refused(conv.finish(conv.node("Conv", {image, conv.weight("w", {4, 3, 3, 3})})), {2, 5, 8, 8}, "Conv_0");
  test::GraphBuilder wide;
  const ValueId small = wide.input("x", {-1, 3, -1, -1});
  refused(wide.finish(wide.node("Conv", {small, wide.weight("w", {4, 3, 9, 9})})), {2, 3, 8, 8}, "Conv_0");
  test::GraphBuilder product;
  const ValueId rows = product.input("x", {-1, -1});
  refused(product.finish(product.node("MatMul", {rows, product.weight("w", {7, 5})})), {4, 6}, "MatMul_0");
  test::GraphBuilder gemm;
  const ValueId matrix = gemm.input("x", {-1, -1});
  refused(gemm.finish(gemm.node("Gemm", {matrix, gemm.weight("w", {7, 5})})), {4, 6}, "Gemm_0");
}
