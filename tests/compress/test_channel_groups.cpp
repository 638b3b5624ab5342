#include <doctest/doctest.h>

#include "compress/channel_groups.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;
using pare::test::GraphBuilder;

namespace {

const std::vector<int64_t> same{1, 1, 1, 1};

const GroupMember* member(const Graph& graph, const ChannelGroup& group, const std::string& name, size_t axis) {
  for (const GroupMember& member : group.members)
    if (graph.value(member.value).name == name && member.axis == axis) return &member;
  return nullptr;
}

// x [1,S,C] -> attention with `heads` query heads and `key_heads` key and value heads of `width` channels.
Graph attention(int64_t heads, int64_t key_heads, int64_t width) {
  GraphBuilder b;
  const int64_t channels = 12;
  const ValueId x = b.input("x", {1, 6, channels});
  const auto shape = [&](const std::string& name, const std::vector<int64_t>& values) {
    return b.constant(name, Tensor::of<int64_t>(DType::int64, {static_cast<int64_t>(values.size())}, values));
  };
  const std::vector<int64_t> forward{0, 2, 1, 3};
  const auto project = [&](const std::string& name, int64_t count, const std::vector<int64_t>& order) {
    ValueId y = b.node("MatMul", {x, b.weight(name, {channels, count * width})});
    y = b.node("Add", {y, b.weight(name + ".bias", {count * width})});
    y = b.node("Reshape", {y, shape(name + ".split", {0, 0, count, width})});
    return b.node("Transpose", {y}, {{"perm", order}});
  };
  const auto repeat = [&](ValueId y, const std::string& name) {
    if (key_heads == heads) return y;
    const auto& axis = shape(name + ".axis", {2});
    y = b.node("Unsqueeze", {y, axis});
    y = b.node("Expand", {y, shape(name + ".expand", {1, key_heads, heads / key_heads, 6, width})});
    return b.node("Reshape", {y, shape(name + ".merge", {1, heads, 6, width})});
  };
  const ValueId q = project("q", heads, forward);
  const ValueId k = repeat(project("k", key_heads, forward), "k");
  const ValueId v = repeat(project("v", key_heads, forward), "v");
  const std::vector<int64_t> swap{0, 1, 3, 2};
  const ValueId scores = b.node("MatMul", {q, b.node("Transpose", {k}, {{"perm", swap}})});
  ValueId y = b.node("MatMul", {b.node("Softmax", {scores}), v});
  y = b.node("Reshape", {b.node("Transpose", {y}, {{"perm", forward}}), shape("join", {0, 0, heads * width})});
  return b.finish(b.node("MatMul", {y, b.weight("out", {heads * width, channels})}));
}

}  // namespace

TEST_CASE("channel_groups: each layer's outputs with what is a number a channel, and the next layer's inputs") {
  const Graph graph = test::small_cnn();
  const ChannelGroups groups = channel_groups(graph, Factor::channels);
  REQUIRE(groups.groups.size() == 2);
  const ChannelGroup& first = groups.groups[0];
  CHECK(first.size() == 4);
  REQUIRE(member(graph, first, "conv1", 0) != nullptr);
  CHECK(member(graph, first, "conv1", 0)->side == MemberSide::producer);
  REQUIRE(member(graph, first, "conv2", 1) != nullptr);
  CHECK(member(graph, first, "conv2", 1)->side == MemberSide::consumer);
  for (const char* name : {"scale", "shift", "mean", "variance"}) CHECK(member(graph, first, name, 0) != nullptr);
  const ChannelGroup& second = groups.groups[1];
  CHECK(second.size() == 5);
  CHECK(member(graph, second, "offset", 1) != nullptr);
  CHECK(member(graph, second, "fc", 1) != nullptr);
  // What the model takes and gives stays.
  CHECK(member(graph, first, "conv1", 1) == nullptr);
  CHECK(member(graph, second, "fc", 0) == nullptr);
  REQUIRE(groups.barriers.size() == 1);
  CHECK(groups.barriers[0].reason == "output of the graph");
  CHECK(groups.barriers[0].channels == 3);
}

TEST_CASE("channel_groups: an operator without a rule is a barrier, named with the channels that it keeps") {
  GraphBuilder b;
  ValueId y = b.node("Conv", {b.input("x", {1, 2, 6, 6}), b.weight("conv1", {4, 2, 3, 3})}, {{"pads", same}});
  y = b.node("Mystery", {y});
  Graph graph = b.finish(y);
  graph.value(y).shape = Shape{1, 4, 6, 6};
  const ChannelGroups groups = channel_groups(graph, Factor::channels);
  CHECK(groups.groups.empty());
  REQUIRE(groups.barriers.size() == 1);
  CHECK(groups.barriers[0].op == "Mystery");
  CHECK(groups.barriers[0].channels == 4);
  CHECK(groups.barriers[0].reason == "the operator has no rule");
}

TEST_CASE("channel_groups: a weight that only a barrier reads is listed with its channels") {
  GraphBuilder b;
  const std::string equation = "...i,oi->...o";
  const ValueId y = b.node("Einsum", {b.input("x", {1, 3, 8}), b.weight("w", {16, 8})}, {{"equation", equation}});
  const ChannelGroups groups =
      channel_groups(b.finish(b.node("MatMul", {y, b.weight("last", {16, 4})})), Factor::channels);
  CHECK(groups.groups.empty());
  REQUIRE_FALSE(groups.barriers.empty());
  CHECK(groups.barriers[0].op == "Einsum");
  CHECK(groups.barriers[0].channels == 16 + 8);
}

TEST_CASE("channel_groups: residual sums share channels, a softmax over channels keeps them") {
  GraphBuilder b;
  const ValueId x = b.node("Conv", {b.input("x", {1, 2, 6, 6}), b.weight("stem", {4, 2, 3, 3})}, {{"pads", same}});
  ValueId y = b.node("Conv", {x, b.weight("conv1", {8, 4, 3, 3})}, {{"pads", same}});
  y = b.node("Conv", {y, b.weight("conv2", {4, 8, 3, 3})}, {{"pads", same}});
  y = b.node("Add", {x, y});
  SUBCASE("free") {
    const Graph graph = b.finish(b.node("Conv", {y, b.weight("last", {3, 4, 1, 1})}));
    const ChannelGroups groups = channel_groups(graph, Factor::channels);
    REQUIRE(groups.groups.size() == 2);
    CHECK(groups.groups[0].size() == 4);
    CHECK(member(graph, groups.groups[0], "stem", 0) != nullptr);
    CHECK(member(graph, groups.groups[0], "conv2", 0) != nullptr);
    CHECK(member(graph, groups.groups[0], "last", 1) != nullptr);
  }
  SUBCASE("softmax") {
    y = b.node("Softmax", {y}, {{"axis", int64_t{1}}});
    const Graph graph = b.finish(b.node("Conv", {y, b.weight("last", {3, 4, 1, 1})}));
    const ChannelGroups groups = channel_groups(graph, Factor::channels);
    REQUIRE(groups.groups.size() == 1);
    CHECK(groups.groups[0].size() == 8);
    CHECK(groups.barriers[0].op == "Softmax");
  }
}

TEST_CASE("channel_groups: a depthwise convolution carries channels through, a grouped one narrows its groups alike") {
  GraphBuilder b;
  ValueId y = b.node("Conv", {b.input("x", {1, 2, 6, 6}), b.weight("first", {8, 2, 1, 1})});
  SUBCASE("depthwise") {
    y = b.node("Conv", {y, b.weight("middle", {8, 1, 3, 3})}, {{"group", int64_t{8}}});
    const Graph graph = b.finish(b.node("Conv", {y, b.weight("last", {3, 8, 1, 1})}));
    const ChannelGroups groups = channel_groups(graph, Factor::channels);
    REQUIRE(groups.groups.size() == 1);
    CHECK(groups.groups[0].size() == 8);
    CHECK(member(graph, groups.groups[0], "last", 1) != nullptr);
  }
  SUBCASE("two groups") {
    y = b.node("Conv", {y, b.weight("middle", {6, 4, 3, 3})}, {{"group", int64_t{2}}});
    const Graph graph = b.finish(b.node("Conv", {y, b.weight("last", {3, 6, 1, 1})}));
    const ChannelGroups groups = channel_groups(graph, Factor::channels);
    REQUIRE(groups.groups.size() == 2);
    CHECK(groups.groups[0].size() == 4);
    CHECK(groups.groups[1].size() == 3);
    CHECK(member(graph, groups.groups[1], "middle", 0)->width == 6);
  }
}

TEST_CASE("channel_groups: heads of attention, and the channels of all heads") {
  const Graph graph = attention(4, 4, 6);
  const ChannelGroups heads = channel_groups(graph, Factor::heads);
  REQUIRE(heads.groups.size() == 1);
  CHECK(heads.groups[0].heads);
  CHECK(heads.groups[0].size() == 4);
  CHECK(heads.groups[0].width_of_unit == 6);
  CHECK(member(graph, heads.groups[0], "q", 1)->width == 24);
  CHECK(member(graph, heads.groups[0], "out", 0)->width == 24);
  const ChannelGroups channels = channel_groups(graph, Factor::channels);
  // Queries with keys, and values.
  REQUIRE(channels.groups.size() == 2);
  for (const ChannelGroup& group : channels.groups) {
    CHECK_FALSE(group.heads);
  }
}

TEST_CASE("channel_groups: query heads that share keys and values go together") {
  const Graph graph = attention(6, 2, 2);
  const ChannelGroups groups = channel_groups(graph, Factor::heads);
  REQUIRE(groups.groups.size() == 1);
  CHECK(groups.groups[0].size() == 2);
  CHECK(member(graph, groups.groups[0], "q", 1)->width == 12);
  CHECK(member(graph, groups.groups[0], "k", 1)->width == 4);
}

TEST_CASE("channel_groups: a shared weight has its channels once, one that is returned keeps them") {
  GraphBuilder b;
  const ValueId x = b.input("x", {1, 4});
  const ValueId weight = b.weight("shared", {4, 4});
  ValueId y = b.node("MatMul", {x, weight});
  SUBCASE("shared") {
    y = b.node("MatMul", {b.node("Relu", {y}), weight});
    const Graph graph = b.finish(b.node("MatMul", {y, b.weight("last", {4, 2})}));
    // The input fixes the rows, and with them the columns that become rows.
    CHECK(channel_groups(graph, Factor::channels).groups.empty());
  }
  SUBCASE("returned") {
    Graph graph = b.finish(b.node("MatMul", {y, b.weight("last", {4, 2})}));
    CHECK(channel_groups(graph, Factor::channels).groups.size() == 1);
    graph.outputs.push_back({weight, {}, false});
    CHECK(channel_groups(graph, Factor::channels).groups.empty());
  }
}
