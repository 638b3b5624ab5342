#include <doctest/doctest.h>

#include "compress/shrink_proof.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;

namespace {

// Removes every other channel of every group, one at least and never all.
RemovedUnits every_other(const ChannelGroups& groups) {
  RemovedUnits removed(groups.units.size(), false);
  for (const ChannelGroup& group : groups.groups)
    for (size_t i = 1; i < group.units.size(); i += 2) removed[static_cast<size_t>(group.units[i])] = true;
  return removed;
}

}  // namespace

TEST_CASE("shrink_proof: a smaller network computes what the masked one does") {
  const Graph graph = test::small_cnn();
  const ChannelGroups groups = channel_groups(graph, Factor::channels);
  const RemovedUnits removed = every_other(groups);
  const Graph masked = mask_channels(graph, groups, removed);
  const Graph shrunk = shrink(graph, groups, removed);
  const auto constant = [&](const char* name) { return *shrunk.value(shrunk.find(name)).constant; };
  CHECK(constant("conv1").shape == Shape{2, 2, 3, 3});
  CHECK(constant("conv2").shape == Shape{3, 2, 3, 3});
  CHECK(constant("offset").shape == Shape{1, 3, 1, 1});
  CHECK(constant("fc").shape == Shape{3, 3});
  const auto inputs = random_inputs(groups.sized, 3);
  const ShrinkProof proof = prove_shrink(masked, shrunk, inputs);
  CHECK(proof.magnitude > 0);
  CHECK(proof.holds());
  // The original is another function: the proof can fail.
  CHECK_FALSE(prove_shrink(graph, shrunk, inputs).holds());
}

TEST_CASE("shrink_proof: outputs that are not finite prove nothing") {
  test::GraphBuilder b;
  const ValueId x = b.input("x", {1, 2});
  const Graph graph = b.finish(b.node("Div", {x, b.filled("zero", {2}, 0)}));
  CHECK_FALSE(prove_shrink(graph, graph, random_inputs(graph, 1)).holds());
}

TEST_CASE("shrink_proof: a constant that divides in one place is not zero where it multiplies") {
  for (const bool divides_first : {true, false}) {
    CAPTURE(divides_first);
    test::GraphBuilder b;
    const ValueId scale = b.filled("scale", {8}, 1.5f);
    const auto branch = [&](const char* op, const char* name) {
      return b.node(op, {b.node("MatMul", {b.input(std::string("x_") + name, {2, 4}), b.weight(name, {4, 8})}), scale});
    };
    const ValueId first = divides_first ? branch("Div", "left") : branch("Mul", "left");
    const ValueId second = divides_first ? branch("Mul", "right") : branch("Div", "right");
    const Graph graph = b.finish(b.node("MatMul", {b.node("Add", {first, second}), b.weight("last", {8, 2})}));
    const ChannelGroups groups = channel_groups(graph, Factor::channels);
    const RemovedUnits removed = every_other(groups);
    const Graph shrunk = shrink(graph, groups, removed);
    CHECK(prove_shrink(mask_channels(graph, groups, removed), shrunk, random_inputs(groups.sized, 3)).holds());
    if (divides_first) CHECK(shrunk.value(shrunk.find("scale")).constant->shape == Shape{4});
  }
}
