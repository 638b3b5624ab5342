#include <doctest/doctest.h>
#include <fmt/format.h>

#include "src/core/error.hpp"
#include "src/train/feature_pairs.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;

namespace {

// Stages of `blocks` convolutions at 8x8 and 4x4, `width` channels; names of values start with `prefix`.
Graph staged(const std::string& prefix, int64_t width, int blocks) {
  test::GraphBuilder b;
  const std::vector<int64_t> same{1, 1, 1, 1};
  int64_t channels = 2;
  ValueId x = b.input("x", {-1, 2, 8, 8});
  for (int stage = 0; stage < 2; ++stage) {
    for (int i = 0; i < blocks; ++i) {
      x = b.node("Relu", {b.node("Conv", {x, b.weight(fmt::format("w{}{}", stage, i), {width, channels, 3, 3})},
                                 {{"pads", same}})});
      channels = width;
    }
    if (stage == 0)
      x = b.node("MaxPool", {x},
                 {{"kernel_shape", std::vector<int64_t>{2, 2}}, {"strides", std::vector<int64_t>{2, 2}}});
  }
  Graph graph = b.finish(b.node("Conv", {x, b.weight("head", {3, width, 1, 1})}));
  for (size_t i = 0; i < graph.values.size(); ++i) {
    Value& value = graph.values[i];
    if (!value.constant) value.name = prefix + value.name;
  }
  graph.by_name.clear();
  for (size_t i = 0; i < graph.values.size(); ++i) graph.by_name[graph.values[i].name] = static_cast<ValueId>(i);
  return graph;
}

}  // namespace

TEST_CASE("feature_pairs: the same network pairs its blocks by name") {
  const Graph graph = staged("", 4, 2);
  const auto pairs = pair_blocks(graph, graph, Pairing::same, find_feature_loss("fitnet"));
  CHECK(pairs.size() >= 2);
  for (const NamedPair& pair : pairs) {
    CHECK(pair.student == pair.teacher);
    CHECK(pair.adapter.empty());
  }
}

TEST_CASE("feature_pairs: other networks pair blocks of the same size, with adapters, only when asked to") {
  const Graph student = staged("s.", 4, 1), teacher = staged("t.", 6, 3);
  const FeatureLoss& fitnet = find_feature_loss("fitnet");
  CHECK(pair_blocks(student, teacher, Pairing::same, fitnet).empty());
  CHECK(pair_blocks(student, teacher, Pairing::none, fitnet).empty());
  const auto pairs = pair_blocks(student, teacher, Pairing::automatic, fitnet);
  REQUIRE_FALSE(pairs.empty());
  for (const NamedPair& pair : pairs) {
    CHECK(pair.student.starts_with("s."));
    CHECK(pair.teacher.starts_with("t."));
    CHECK(pair.adapter == Shape{6, 4, 1, 1});
  }
  CHECK(pair_blocks(student, teacher, Pairing::automatic, find_feature_loss("relational")).front().adapter.empty());
}

TEST_CASE("feature_pairs: lists") {
  const Graph student = staged("s.", 4, 1), teacher = staged("t.", 6, 1);
  const FeatureLoss& fitnet = find_feature_loss("fitnet");
  const auto pairs = read_pairs(student, teacher, "s.Relu_1_out:t.Relu_1_out", fitnet);
  REQUIRE(pairs.size() == 1);
  CHECK(pairs[0].adapter == Shape{6, 4, 1, 1});
  for (const char* bad : {"s.Relu_1_out", ":t.Relu_1_out", "s.Relu_1_out:nothing", "s.Relu_1_out:t.MaxPool_2_out"}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(read_pairs(student, teacher, bad, fitnet), Error);
  }
}
