#include <doctest/doctest.h>

#include "compress/residual_blocks.hpp"
#include "compress/shrink_proof.hpp"
#include "src/core/error.hpp"
#include "src/graph/cost.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;
using pare::test::GraphBuilder;

namespace {

constexpr int64_t width = 4;

ValueId conv(GraphBuilder& b, ValueId x, const std::string& name, int64_t out = width, int64_t stride = 1,
             int64_t in = width) {
  return b.node("Conv", {x, b.weight(name, {out, in, 3, 3}, 0.2f)},
                {{"pads", std::vector<int64_t>{1, 1, 1, 1}}, {"strides", std::vector<int64_t>{stride, stride}}});
}

// relu(x + conv(relu(conv(x)))); `first`: the branch is the Add's first input.
ValueId block(GraphBuilder& b, ValueId x, const std::string& name, bool first = false) {
  const ValueId f = conv(b, b.node("Relu", {conv(b, x, name + ".a")}), name + ".b");
  return b.node("Relu", {first ? b.node("Add", {f, x}) : b.node("Add", {x, f})});
}

Graph two_blocks_and_a_step() {
  GraphBuilder b;
  ValueId x = conv(b, b.input("x", {1, 3, 8, 8}), "stem", width, 1, 3);
  x = block(b, x, "one");
  x = b.node("Add", {conv(b, x, "step", width, 2), conv(b, x, "shortcut", width, 2)});
  x = block(b, x, "two", true);
  return b.finish(b.node("Flatten", {b.node("GlobalAveragePool", {x})}));
}

bool reads(const Graph& graph, const std::string& constant) {
  const ValueId id = graph.find(constant);
  for (const Node& node : graph.nodes)
    for (const ValueId input : node.inputs)
      if (input == id) return true;
  return false;
}

}  // namespace

TEST_CASE("residual_blocks: found whatever side the branch is on, a step with two branches is none") {
  const Graph graph = two_blocks_and_a_step();
  const ResidualBlocks found = residual_blocks(graph);
  REQUIRE(found.blocks.size() == 2);
  for (const ResidualBlock& block : found.blocks) CHECK(block.nodes.size() == 3);
  REQUIRE(found.kept.size() == 1);
  CHECK(found.kept[0].reason == "neither of its inputs is computed from the other");
}

TEST_CASE("residual_blocks: without its branch a model computes what the branch times zero gives") {
  const Graph graph = two_blocks_and_a_step();
  const auto blocks = residual_blocks(graph).blocks;
  const auto inputs = random_inputs(graph, 3);
  for (const std::vector<bool>& removed : {std::vector<bool>{true, false}, {false, true}, {true, true}}) {
    const Graph shrunk = without_blocks(graph, blocks, removed);
    CHECK(reads(shrunk, "one.a") == !removed[0]);
    CHECK(reads(shrunk, "two.b") == !removed[1]);
    CHECK(graph_cost(shrunk).macs < graph_cost(graph).macs);
    const ShrinkProof proof = prove_shrink(with_zeroed_blocks(graph, blocks, removed), shrunk, inputs);
    CHECK(proof.magnitude > 0);
    CHECK(proof.holds());
    // The original is another function: the proof can fail.
    CHECK_FALSE(prove_shrink(graph, shrunk, inputs).holds());
  }
}

TEST_CASE("residual_blocks: a block whose sum is the output keeps the output's name") {
  GraphBuilder b;
  const ValueId x = conv(b, b.input("x", {1, 3, 8, 8}), "stem", width, 1, 3);
  const ValueId sum = b.node("Add", {x, conv(b, x, "f")});
  const Graph graph = b.finish(sum);
  const auto blocks = residual_blocks(graph).blocks;
  REQUIRE(blocks.size() == 1);
  const Graph shrunk = without_blocks(graph, blocks, {true});
  CHECK(shrunk.value(shrunk.outputs[0].value).name == graph.value(sum).name);
  CHECK(prove_shrink(with_zeroed_blocks(graph, blocks, {true}), shrunk, random_inputs(graph, 1)).holds());
}

TEST_CASE("residual_blocks: a block inside of a branch is one too, and goes with it") {
  GraphBuilder b;
  const ValueId x = conv(b, b.input("x", {1, 3, 8, 8}), "stem", width, 1, 3);
  const ValueId inner = block(b, conv(b, x, "outer.a"), "inner");
  const Graph graph = b.finish(b.node("Relu", {b.node("Add", {x, conv(b, inner, "outer.b")})}));
  const auto blocks = residual_blocks(graph).blocks;
  REQUIRE(blocks.size() == 2);
  CHECK(blocks[0].nodes.size() < blocks[1].nodes.size());
  const auto inputs = random_inputs(graph, 2);
  for (const std::vector<bool>& removed : {std::vector<bool>{true, false}, {false, true}, {true, true}}) {
    const Graph shrunk = without_blocks(graph, blocks, removed);
    CHECK(reads(shrunk, "inner.a") == (!removed[0] && !removed[1]));
    CHECK(reads(shrunk, "outer.a") == !removed[1]);
    CHECK(prove_shrink(with_zeroed_blocks(graph, blocks, removed), shrunk, inputs).holds());
  }
}

TEST_CASE("residual_blocks: what is seen outside, has no weights or another shape stays, with the reason") {
  const auto reason_of = [](const std::function<ValueId(GraphBuilder&, ValueId)>& make) {
    GraphBuilder b;
    const ValueId x = conv(b, b.input("x", {-1, 3, 8, 8}), "stem", width, 1, 3);
    const ResidualBlocks found = residual_blocks(b.finish(make(b, x)));
    REQUIRE(found.blocks.empty());
    return found.kept.at(0).reason;
  };
  CHECK(reason_of([](GraphBuilder& b, ValueId x) {
          const ValueId f = conv(b, x, "f");
          return b.node("Mul", {b.node("Add", {x, f}), f});
        }) == "'Conv_1_out' of its branch is also read by node 'Mul_3'");
  CHECK(reason_of([](GraphBuilder& b, ValueId x) {
          return b.node("Add", {x, b.node("Relu", {x})});
        }) == "its branch holds no weights");
  CHECK(reason_of([](GraphBuilder& b, ValueId x) {
          return b.node("Add", {x, b.node("GlobalAveragePool", {conv(b, x, "f")})});
        }) == "its inputs have the shapes [1,4,8,8] and [1,4,1,1]");
  // Over a batch of one it would be of the same shape.
  CHECK(reason_of([](GraphBuilder& b, ValueId x) {
          const std::vector<int64_t> batch{0};
          const ValueId axes = b.constant("axes", Tensor::of<int64_t>(DType::int64, {1}, batch));
          return b.node("Add", {x, b.node("ReduceMean", {conv(b, x, "f"), axes})});
        }).starts_with("its inputs have the shapes"));
}

TEST_CASE(
    "residual_blocks: selectors take the names of sums, nodes and weights, and one that matches nothing is named") {
  const Graph graph = two_blocks_and_a_step();
  const auto blocks = residual_blocks(graph).blocks;
  CHECK(select_blocks(graph, blocks, {"one.*"}, {}) == std::vector<bool>{true, false});
  CHECK(select_blocks(graph, blocks, {}, {blocks[0].name}) == std::vector<bool>{false, true});
  CHECK_THROWS_WITH_AS(select_blocks(graph, blocks, {"stem"}, {}),
                       "'stem' matches no residual block of the model; `pare inspect --groups` lists them", Error);
}
