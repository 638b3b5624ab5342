#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros_like.h>
#include <doctest/doctest.h>

#include "compress/layer_rows.hpp"
#include "src/core/error.hpp"
#include "src/exec/executor.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;

namespace {

// The layer's outputs from rows and matrices, [groups, n, outputs].
at::Tensor products(const Graph& graph, const std::string& weight, const at::Tensor& data, const at::Tensor& values) {
  const ValueId id = graph.find(weight);
  const WeightUse use = weight_uses(graph, id).at(0);
  const WeightLayout layout = weight_layout(graph, id);
  std::vector<at::Tensor> pieces;
  for_each_rows(use, *graph.value(id).shape, data, [&](const at::Tensor& rows) { pieces.push_back(rows); });
  return at::bmm(at::cat(pieces, 1), weight_matrices(layout, values).transpose(1, 2));
}

at::Tensor run(const Graph& graph, const at::Tensor& x) {
  const c10::AutoGradMode no_grad(false);
  return Executor(graph).run(Parameters(graph, at::kCPU, Training::off), {&x, 1}, false).at(0);
}

at::Tensor values_of(const Graph& graph, const std::string& name) {
  return Parameters(graph, at::kCPU, Training::off).tensor(graph.find(name));
}

}  // namespace

TEST_CASE("layer_rows: patches times the matrix are the convolution, with groups, pads, strides and dilations") {
  for (const int64_t group : {1, 2}) {
    CAPTURE(group);
    test::GraphBuilder b;
    const ValueId x = b.input("x", {-1, 4, 9, 8});
    const Graph graph = b.finish(b.node("Conv", {x, b.weight("w", {6, 4 / group, 3, 2})},
                                        {{"group", group},
                                         {"pads", std::vector<int64_t>{1, 0, 2, 1}},
                                         {"strides", std::vector<int64_t>{2, 1}},
                                         {"dilations", std::vector<int64_t>{1, 2}}}));
    const at::Tensor data = at::randn({3, 4, 9, 8});
    const at::Tensor expected = run(graph, data);  // [3, 6, h, w]
    const at::Tensor actual = products(graph, "w", data, values_of(graph, "w"));
    const at::Tensor arranged =
        expected.unflatten(1, {group, 6 / group}).permute({1, 0, 3, 4, 2}).reshape(actual.sizes());
    CHECK(at::allclose(actual, arranged, 1e-4, 1e-4));
  }
}

TEST_CASE("layer_rows: one and three spatial dimensions") {
  test::GraphBuilder b;
  const ValueId x = b.input("x", {-1, 2, 11});
  const Graph line = b.finish(b.node("Conv", {x, b.weight("w", {3, 2, 4})}, {{"strides", std::vector<int64_t>{3}}}));
  const at::Tensor row = at::randn({2, 2, 11});
  CHECK(at::allclose(products(line, "w", row, values_of(line, "w"))[0],
                     run(line, row).permute({0, 2, 1}).reshape({-1, 3}), 1e-4, 1e-4));
  test::GraphBuilder c;
  const ValueId volume = c.input("x", {-1, 2, 4, 4, 4});
  const Graph cube = c.finish(c.node("Conv", {volume, c.weight("w", {3, 2, 2, 2, 2})}));
  const at::Tensor block = at::randn({2, 2, 4, 4, 4});
  CHECK(at::allclose(products(cube, "w", block, values_of(cube, "w"))[0],
                     run(cube, block).permute({0, 2, 3, 4, 1}).reshape({-1, 3}), 1e-4, 1e-4));
}

TEST_CASE("layer_rows: Gemm and MatMul in every orientation") {
  {
    test::GraphBuilder b;
    const ValueId x = b.input("x", {4, 5});
    const Graph graph =
        b.finish(b.node("Gemm", {x, b.weight("w", {3, 4})}, {{"transA", int64_t{1}}, {"transB", int64_t{1}}}));
    const at::Tensor data = at::randn({4, 5});
    CHECK(at::allclose(products(graph, "w", data, values_of(graph, "w"))[0], run(graph, data), 1e-4, 1e-5));
  }
  {
    test::GraphBuilder b;
    const ValueId x = b.input("x", {2, 3, 5, 4});
    const Graph graph = b.finish(b.node("MatMul", {x, b.weight("w", {3, 4, 6})}));
    const at::Tensor data = at::randn({2, 3, 5, 4});
    CHECK(at::allclose(products(graph, "w", data, values_of(graph, "w")),
                       run(graph, data).permute({1, 0, 2, 3}).reshape({3, 10, 6}), 1e-4, 1e-5));
  }
  {
    test::GraphBuilder b;
    const ValueId x = b.input("x", {2, 4, 5});
    const Graph graph = b.finish(b.node("MatMul", {b.weight("w", {3, 4}), x}));
    const at::Tensor data = at::randn({2, 4, 5});
    CHECK(at::allclose(products(graph, "w", data, values_of(graph, "w"))[0],
                       run(graph, data).permute({0, 2, 1}).reshape({-1, 3}), 1e-4, 1e-5));
  }
}

TEST_CASE("layer_rows: matrices go back to where they came from, also into channels_last memory") {
  test::GraphBuilder b;
  const ValueId x = b.input("x", {1, 4, 8, 8});
  const ValueId y = b.node("Conv", {x, b.weight("conv", {6, 2, 3, 3})}, {{"group", int64_t{2}}});
  const Graph graph = b.finish(b.node("MatMul", {y, b.weight("right", {6, 6, 5})}));
  const Parameters parameters(graph, at::kCPU, Training::off);
  for (const char* name : {"conv", "right"}) {
    const WeightLayout layout = weight_layout(graph, graph.find(name));
    const at::Tensor& weight = parameters.tensor(graph.find(name));
    const at::Tensor target = at::zeros_like(weight);
    set_weight_matrices(layout, weight_matrices(layout, weight), target);
    CHECK(target.equal(weight));
  }
}

TEST_CASE("layer_rows: layers that are no plain products are named") {
  test::GraphBuilder b;
  const ValueId x = b.input("x", {1, 4, 8, 8});
  const Graph graph = b.finish(b.node("ConvTranspose", {x, b.weight("w", {4, 3, 2, 2})}));
  CHECK_THROWS_WITH_AS(products(graph, "w", at::randn({1, 4, 8, 8}), values_of(graph, "w")),
                       doctest::Contains("ConvTranspose node"), Error);
}

TEST_CASE("layer_rows: fewer rows are some of all rows, spread over the positions") {
  test::GraphBuilder b;
  const ValueId x = b.input("x", {-1, 4, 24, 20});
  const Graph graph = b.finish(b.node("Conv", {x, b.weight("w", {6, 2, 3, 3})},
                                      {{"group", int64_t{2}}, {"pads", std::vector<int64_t>{1, 1, 1, 1}}}));
  const ValueId id = graph.find("w");
  const auto rows_of = [&](int64_t most) {
    std::vector<at::Tensor> pieces;
    for_each_rows(
        weight_uses(graph, id).at(0), *graph.value(id).shape, at::arange(2 * 4 * 24 * 20).reshape({2, 4, 24, 20}),
        [&](const at::Tensor& rows) { pieces.push_back(rows); }, most);
    return at::cat(pieces, 1);
  };
  const at::Tensor all = rows_of(0), some = rows_of(50);
  CHECK(all.size(1) == 2 * 24 * 20);
  CHECK(some.size(1) >= 2 * 50);
  CHECK(some.size(1) < 2 * 110);
  // The middles of the patches: one of every third row and column of both samples.
  const at::Tensor middles = some[0].select(1, 4).reshape({2, 8, 7});
  CHECK(at::equal(middles[0],
                  at::arange(24 * 20).reshape({24, 20}).slice(0, 1, {}, 3).slice(1, 1, {}, 3).to(at::kFloat)));
  CHECK(rows_of(1000).size(1) == all.size(1));
}
