#include <doctest/doctest.h>

#include "compress/channel_latency.hpp"
#include "compress/channel_scores.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;
using pare::test::GraphBuilder;

namespace {

Graph three_layers() {
  GraphBuilder b;
  const std::vector<int64_t> same{1, 1, 1, 1};
  ValueId y = b.node("Conv", {b.input("x", {1, 3, 8, 8}), b.weight("first", {32, 3, 3, 3})}, {{"pads", same}});
  y = b.node("Conv", {b.node("Relu", {y}), b.weight("second", {64, 32, 3, 3})}, {{"pads", same}});
  y = b.node("Conv", {b.node("Relu", {y}), b.weight("third", {48, 64, 3, 3})}, {{"pads", same}});
  return b.finish(b.node("Conv", {b.node("Relu", {y}), b.weight("fourth", {5, 48, 1, 1})}));
}

// A machine whose layers take whole blocks of 16 channels, and a part of the time whatever the widths are.
double time_at(const ChannelGroups& groups, const Widths& widths, double fixed) {
  const ChannelCost cost(groups);
  Widths rounded;
  for (const int64_t width : widths) rounded.push_back((width + 15) / 16 * 16);
  return fixed + (1 - fixed) * cost.macs(rounded) / cost.macs(ChannelCost::full(groups));
}

}  // namespace

TEST_CASE("channel_latency: the table gives its own measurements, and the whole for all widths") {
  const Graph graph = three_layers();
  const ChannelGroups groups = channel_groups(graph, Factor::channels);
  const std::vector<bool> all(groups.groups.size(), true);
  const ChannelLimits limits{8, 8, "global"};
  for (const double fixed : {0.0, 0.2}) {
    const auto table =
        measure_widths(groups, all, limits, [&](const Widths& widths) { return time_at(groups, widths, fixed); });
    CHECK(table.size() == 9);
    const ChannelLatency latency(groups, table);
    CHECK(latency.share(ChannelCost::full(groups)) == doctest::Approx(1));
    for (const MeasuredWidth& row : table) {
      Widths widths = ChannelCost::full(groups);
      widths[row.group] = row.width;
      CHECK(latency.share(widths) == doctest::Approx(row.share));
    }
  }
}

TEST_CASE("channel_latency: narrower is never slower, whatever noise was measured") {
  const Graph graph = three_layers();
  const ChannelGroups groups = channel_groups(graph, Factor::channels);
  const ChannelLatency latency(groups, {{0, 24, 1.3}, {0, 8, 0.4}, {1, 32, 0.2}, {1, 16, 0.5}});
  for (size_t g = 0; g < groups.groups.size(); ++g) {
    Widths widths = ChannelCost::full(groups);
    double before = latency.share(widths);
    for (int64_t width = groups.groups[g].size(); width > 0; --width) {
      widths[g] = width;
      CHECK(latency.share(widths) <= before);
      before = latency.share(widths);
    }
  }
}

TEST_CASE("channel_latency: the choice meets the measured target nearly, or is the narrowest") {
  const Graph graph = three_layers();
  const ChannelGroups groups = channel_groups(graph, Factor::channels);
  const std::vector<bool> all(groups.groups.size(), true);
  const ChannelLimits limits{4, 4, "global"};
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const GroupScores scores = random_scores(groups, seed);
    const WidthMeter meter = [&](const Widths& widths) { return time_at(groups, widths, 0.1); };
    for (const double target : {0.3, 0.5, 0.8}) {
      const MeasuredChoice found = choose_by_latency(groups, scores, all, limits, meter, target);
      CHECK(found.choice.reached);
      CHECK(found.choice.cost == meter(found.choice.widths));
      CHECK(found.choice.cost <= target);
      CHECK(found.choice.cost > 0.6 * target);
    }
    const MeasuredChoice none = choose_by_latency(groups, scores, all, limits, meter, 0.05);
    CHECK_FALSE(none.choice.reached);
    CHECK(none.choice.widths == Widths{4, 4, 4});
  }
}
