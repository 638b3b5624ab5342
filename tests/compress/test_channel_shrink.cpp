#include <doctest/doctest.h>
#include <fmt/format.h>

#include "compress/channel_scores.hpp"
#include "compress/channel_shrink.hpp"
#include "compress/shrink_proof.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;
using pare::test::GraphBuilder;

namespace {

// A random network of images from blocks that move, mix, split and join channels.
class RandomNetwork {
 public:
  explicit RandomNetwork(uint64_t seed) : key_{seed, random_stream("network")} {}

  Graph make() {
    Place at{b_.input("x", {1, 3, 8, 8}), 3, 8};
    at = conv(at, 4 * (2 + draw(3)), 3);
    for (int64_t i = 0; i < 5; ++i) at = block(at);
    const ValueId pooled = b_.node("Flatten", {b_.node("GlobalAveragePool", {at.value})});
    return b_.finish(b_.node("MatMul", {pooled, weight({at.channels, 5})}));
  }

 private:
  struct Place {
    ValueId value;
    int64_t channels;
    int64_t size;
  };

  int64_t draw(int64_t below) {
    return static_cast<int64_t>(random_below(static_cast<uint64_t>(below), key_, next_++));
  }
  ValueId weight(Shape shape) { return b_.weight(fmt::format("w{}", next_++), std::move(shape)); }
  ValueId integers(const std::vector<int64_t>& values) {
    return b_.constant(fmt::format("i{}", next_++),
                       Tensor::of<int64_t>(DType::int64, {static_cast<int64_t>(values.size())}, values));
  }

  Place conv(Place at, int64_t out, int64_t kernel, int64_t group = 1) {
    const std::vector<int64_t> pads(4, kernel / 2);
    const ValueId y = b_.node("Conv", {at.value, weight({out, at.channels / group, kernel, kernel}), weight({out})},
                              {{"pads", pads}, {"group", group}});
    return {y, out, at.size};
  }

  std::vector<ValueId> split(Place at) {
    std::vector<ValueId> halves;
    for (int64_t i = 0; i < 2; ++i)
      halves.push_back(b_.node(
          "Slice", {at.value, integers({i * at.channels / 2}), integers({(i + 1) * at.channels / 2}), integers({1})}));
    return halves;
  }

  Place block(Place at) {
    const int64_t c = at.channels;
    switch (draw(9)) {
      case 0:
        return {b_.node("Add", {at.value, b_.node("Relu", {conv(conv(at, 8, 1), c, 3).value})}), c, at.size};
      case 1: {
        const Place y = conv(at, 8, 1);
        return {b_.node("Concat", {at.value, y.value}, {{"axis", int64_t{1}}}), c + 8, at.size};
      }
      case 2: {
        Place s{b_.node("GlobalAveragePool", {at.value}), c, 1};
        s = conv(conv(s, 4, 1), c, 1);
        return {b_.node("Mul", {at.value, b_.node("Sigmoid", {s.value})}), c, at.size};
      }
      case 3:
        return conv({b_.node("Tanh", {at.value}), c, at.size}, c, 3, c);
      case 4: {
        ValueId y = b_.node("Reshape", {at.value, integers({0, 2, c / 2, at.size, at.size})});
        const std::vector<int64_t> swap{0, 2, 1, 3, 4};
        y = b_.node("Transpose", {y}, {{"perm", swap}});
        return {b_.node("Reshape", {y, integers({0, c, at.size, at.size})}), c, at.size};
      }
      case 5: {
        const auto halves = split(at);
        const ValueId y = b_.node("Mul", {halves[0], b_.node("Sigmoid", {halves[1]})});
        return conv({y, c / 2, at.size}, 8, 1);
      }
      case 6: {
        const auto halves = split(at);
        const Place y = conv({halves[1], c / 2, at.size}, c / 2, 3);
        return {b_.node("Concat", {y.value, halves[0]}, {{"axis", int64_t{1}}}), c, at.size};
      }
      case 7:
        return conv(at, c, 3, 2);
      default:
        return {b_.node("Pad", {at.value, integers({0, 1, 0, 0, 0, 1, 0, 0})}), c + 2, at.size};
    }
  }

  GraphBuilder b_;
  RandomKey key_;
  uint64_t next_ = 0;
};

}  // namespace

TEST_CASE("channel_shrink: random networks compute what they do with zeros in place of what went") {
  int64_t removed_channels = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    const Graph graph = RandomNetwork(seed).make();
    const ChannelGroups groups = channel_groups(graph, Factor::channels);
    const GroupScores scores = random_scores(groups, seed);
    Widths widths;
    for (const ChannelGroup& group : groups.groups) widths.push_back(1 + group.size() / 2);
    for (const int64_t width : widths) removed_channels += width - 1;
    const RemovedUnits removed = removed_units(groups, scores, widths);
    const Graph shrunk = shrink(graph, groups, removed);
    const ShrinkProof proof =
        prove_shrink(mask_channels(graph, groups, removed), shrunk, random_inputs(groups.sized, seed));
    CHECK(proof.magnitude > 0);
    CHECK(proof.holds());
  }
  CHECK(removed_channels > 500);
}

TEST_CASE("channel_shrink: a computed target of Reshape keeps what is computed") {
  GraphBuilder b;
  const ValueId x = b.input("x", {-1, 4, 6});
  ValueId y = b.node("MatMul", {x, b.weight("first", {6, 12})});
  const auto one = [&](const char* name, int64_t value) {
    return b.constant(name, Tensor::of<int64_t>(DType::int64, {1}, {value}));
  };
  const ValueId sizes = b.node("Shape", {x});
  const ValueId batch = b.node("Gather", {sizes, one("zero", 0)});
  const ValueId target =
      b.node("Concat", {batch, one("four", 4), one("three", 3), one("width", 4)}, {{"axis", int64_t{0}}});
  y = b.node("Relu", {b.node("Reshape", {y, target})});
  y = b.node("Reshape", {y, b.constant("join", Tensor::of<int64_t>(DType::int64, {3}, {0, 0, -1}))});
  const Graph graph = with_folded_sizes(b.finish(b.node("MatMul", {y, b.weight("last", {12, 2})})));
  const ChannelGroups groups = channel_groups(graph, Factor::channels);
  REQUIRE(groups.groups.size() == 1);
  CHECK(groups.groups[0].size() == 4);
  const RemovedUnits removed = removed_units(groups, random_scores(groups, 1), {2});
  const Graph shrunk = shrink(graph, groups, removed);
  CHECK(shrunk.value(shrunk.find("last")).constant->shape == Shape{6, 2});
  // Another batch than the one that the groups were found with.
  const auto inputs = random_inputs(with_sizes(graph, {}, {3, 64}), 1);
  CHECK(prove_shrink(mask_channels(graph, groups, removed), shrunk, inputs).holds());
}
