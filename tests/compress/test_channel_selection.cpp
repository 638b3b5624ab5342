#include <doctest/doctest.h>

#include "compress/channel_scores.hpp"
#include "compress/channel_selection.hpp"
#include "src/core/error.hpp"
#include "src/graph/cost.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;
using pare::test::GraphBuilder;

namespace {

Graph two_layers() {
  GraphBuilder b;
  const std::vector<int64_t> same{1, 1, 1, 1};
  ValueId y = b.node("Conv", {b.input("x", {1, 3, 8, 8}), b.weight("first", {32, 3, 3, 3})}, {{"pads", same}});
  y = b.node("Conv", {b.node("Relu", {y}), b.weight("second", {24, 32, 3, 3})}, {{"pads", same}});
  return b.finish(b.node("Conv", {b.node("Relu", {y}), b.weight("third", {5, 24, 1, 1})}));
}

}  // namespace

TEST_CASE("channel_selection: legal widths are multiples, and the width that is there") {
  ChannelGroup group;
  group.units.assign(22, 1);
  CHECK(legal_widths(group, {8, 8, "global"}) == std::vector<int64_t>{22, 16, 8});
  CHECK(legal_widths(group, {8, 9, "global"}) == std::vector<int64_t>{22, 16});
  group.width_of_unit = 4;
  CHECK(legal_widths(group, {8, 8, "global"}).back() == 2);
  group.units.assign(1, 1);
  CHECK(legal_widths(group, {1, 1, "global"}) == std::vector<int64_t>{1});
}

TEST_CASE("channel_cost: widths predict the MACs and parameters of the smaller graph") {
  const Graph graph = two_layers();
  const ChannelGroups groups = channel_groups(graph, Factor::channels);
  const ChannelCost cost(groups);
  const Widths widths{16, 8};
  const Graph small = shrink(graph, groups, removed_units(groups, random_scores(groups, 1), widths));
  CHECK(cost.macs(widths) == doctest::Approx(static_cast<double>(graph_cost(small).macs)));
  CHECK(cost.parameters(widths) == doctest::Approx(static_cast<double>(graph_cost(small).parameters)));
  CHECK(cost.macs(ChannelCost::full(groups)) == doctest::Approx(static_cast<double>(graph_cost(graph).macs)));
}

TEST_CASE("channel_cost: integers that are dequantized count as parameters") {
  GraphBuilder b;
  const std::vector<int8_t> codes(32 * 3, 1);
  ValueId filters = b.constant("codes", Tensor::of<int8_t>(DType::int8, {32, 3, 1, 1}, codes));
  filters = b.node("DequantizeLinear", {filters, b.filled("scale", {}, 0.5f)});
  const ValueId y = b.node("Conv", {b.input("x", {1, 3, 8, 8}), filters});
  const Graph graph = b.finish(b.node("Conv", {y, b.weight("second", {4, 32, 1, 1})}));
  const ChannelCost cost(channel_groups(graph, Factor::channels));
  REQUIRE(graph_cost(graph).parameters == 32 * 3 + 4 * 32);
  const double full = cost.parameters(ChannelCost::full(channel_groups(graph, Factor::channels)));
  CHECK(full == static_cast<double>(graph_cost(graph).parameters));
}

TEST_CASE("channel_selection: the target is met, and no group can be wider") {
  const Graph graph = two_layers();
  const ChannelGroups groups = channel_groups(graph, Factor::channels);
  const ChannelCost cost(groups);
  const std::vector<bool> all(groups.groups.size(), true);
  const auto macs = [&](const Widths& widths) { return cost.macs(widths); };
  for (const char* scope : {"global", "layer"}) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
      const ChannelLimits limits{4, 4, scope};
      const double target = cost.macs(ChannelCost::full(groups)) * (0.15 + 0.04 * static_cast<double>(seed));
      const ChannelChoice choice = choose_widths(groups, random_scores(groups, seed), all, limits, macs, target);
      CHECK(choice.reached);
      CHECK(cost.macs(choice.widths) <= target);
      for (size_t g = 0; g < choice.widths.size(); ++g) {
        if (choice.widths[g] == groups.groups[g].size()) continue;
        Widths wider = choice.widths;
        wider[g] += 4;
        CHECK(cost.macs(wider) > target);
      }
    }
  }
}

TEST_CASE("channel_selection: out of reach gives the narrowest") {
  const Graph graph = two_layers();
  const ChannelGroups groups = channel_groups(graph, Factor::channels);
  const ChannelCost cost(groups);
  const ChannelChoice choice = choose_widths(
      groups, random_scores(groups, 1), {true, true}, {8, 8, "global"},
      [&](const Widths& widths) { return cost.macs(widths); }, 1);
  CHECK_FALSE(choice.reached);
  CHECK(choice.widths == Widths{8, 8});
}

TEST_CASE("channel_selection: a glob that matches nothing is named") {
  const Graph graph = two_layers();
  const ChannelGroups groups = channel_groups(graph, Factor::channels);
  CHECK(select_groups(graph, groups, {"first"}, {}) == std::vector<bool>{true, false});
  CHECK(select_groups(graph, groups, {}, {"first"}) == std::vector<bool>{false, true});
  CHECK_THROWS_WITH_AS(select_groups(graph, groups, {"fisrt"}, {}),
                       "'fisrt' matches no channel group of the model; `pare inspect --groups` lists them", Error);
}

TEST_CASE("channel_scores: weights that are not finite are refused by name") {
  Graph graph = two_layers();
  const ChannelGroups groups = channel_groups(graph, Factor::channels);
  Value& weight = graph.value(graph.find("second"));
  weight.constant = Tensor::of<float>(DType::float32, weight.constant->shape, std::vector<float>(24 * 32 * 9, NAN));
  try {
    group_scores(graph, groups, magnitude_scores(graph), GroupScore::sum);
    FAIL("not refused");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::bad_input);
    CHECK(std::string(error.what()).find("'second'") != std::string::npos);
  }
}
