// How long channel groups take, per 100 nodes, for graphs of growing length: residual blocks of 256 channels, and
// attention blocks of 8 x 32.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>

#include "compress/channel_groups.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;

namespace {

constexpr int64_t width = 256;

// A constant without data: groups depend on shapes alone.
ValueId hollow(test::GraphBuilder& b, Shape shape) {
  static int64_t next = 0;
  return b.constant(fmt::format("w{}", next++), Tensor{DType::float32, std::move(shape), {}});
}

ValueId convolution_block(test::GraphBuilder& b, ValueId x) {
  const auto conv = [&](ValueId y) {
    y = b.node("Conv", {y, hollow(b, {width, width, 1, 1}), hollow(b, {width})});
    return b.node("BatchNormalization",
                  {y, hollow(b, {width}), hollow(b, {width}), hollow(b, {width}), hollow(b, {width})});
  };
  const ValueId y = conv(b.node("Relu", {conv(x)}));
  return b.node("Relu", {b.node("Add", {x, y})});
}

ValueId attention_block(test::GraphBuilder& b, ValueId x, ValueId split, ValueId join) {
  const std::vector<int64_t> forward{0, 2, 1, 3}, turned{0, 2, 3, 1};
  const auto project = [&](const std::vector<int64_t>& order) {
    const ValueId y = b.node("Add", {b.node("MatMul", {x, hollow(b, {width, width})}), hollow(b, {width})});
    return b.node("Transpose", {b.node("Reshape", {y, split})}, {{"perm", order}});
  };
  const ValueId scores = b.node("Softmax", {b.node("MatMul", {project(forward), project(turned)})});
  ValueId y = b.node("Transpose", {b.node("MatMul", {scores, project(forward)})}, {{"perm", forward}});
  y = b.node("MatMul", {b.node("Reshape", {y, join}), hollow(b, {width, width})});
  return b.node("Add", {x, y});
}

Graph graph_of(size_t nodes, bool attention) {
  test::GraphBuilder b;
  ValueId x = attention ? b.input("x", {1, 16, width}) : b.input("x", {1, width, 8, 8});
  const ValueId split = b.constant("split", Tensor::of<int64_t>(DType::int64, {4}, {1, 16, 8, 32}));
  const ValueId join = b.constant("join", Tensor::of<int64_t>(DType::int64, {3}, {1, 16, width}));
  if (attention) x = b.node("MatMul", {x, hollow(b, {width, width})});
  else x = b.node("Conv", {x, hollow(b, {width, width, 1, 1})});
  const size_t each = attention ? 18 : 7;
  for (size_t i = 0; i < nodes / each; ++i)
    x = attention ? attention_block(b, x, split, join) : convolution_block(b, x);
  return b.finish(b.node("Softmax", {x}, {{"axis", int64_t{1}}}));
}

double milliseconds(const Graph& graph, size_t& groups) {
  double best = 1e9;
  for (int repeat = 0; repeat < 5; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
    groups = channel_groups(graph, Factor::channels).groups.size();
    const std::chrono::duration<double, std::milli> spent = std::chrono::steady_clock::now() - start;
    best = std::min(best, spent.count());
  }
  return best;
}

}  // namespace

int main() {
  constexpr double goal = 1;  // ms per 100 nodes
  bool met = true;
  std::printf("%-12s %8s %8s %10s %16s\n", "blocks", "nodes", "groups", "ms", "ms per 100 nodes");
  for (const bool attention : {false, true}) {
    for (const size_t nodes : {200, 2000, 20000}) {
      const Graph graph = graph_of(nodes, attention);
      size_t groups = 0;
      const double spent = milliseconds(graph, groups);
      met = met && spent * 100 <= goal * static_cast<double>(graph.nodes.size());
      std::printf("%-12s %8zu %8zu %10.2f %16.3f\n", attention ? "attention" : "residual", graph.nodes.size(), groups,
                  spent, spent * 100 / static_cast<double>(graph.nodes.size()));
    }
  }
  return met ? EXIT_SUCCESS : EXIT_FAILURE;
}
