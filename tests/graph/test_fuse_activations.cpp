#include <cmath>

#include <doctest/doctest.h>

#include "src/graph/passes/fold_sizes.hpp"
#include "src/graph/passes/fuse_activations.hpp"
#include "tests/support/graph_builder.hpp"

namespace pare::test {
namespace {

struct Drawing {
  GraphBuilder b;
  ValueId x = b.input("x", {-1, 4});

  int numbers = 0;

  ValueId number(float value) {
    return b.constant("number" + std::to_string(numbers++), Tensor::of<float>(DType::float32, {}, {value}));
  }
  ValueId op(const std::string& name, std::vector<ValueId> inputs) { return b.node(name, std::move(inputs)); }
  ValueId clipped(float offset, float low, float high) {
    return op("Clip", {op("Add", {number(offset), x}), number(low), number(high)});
  }
  ValueId gauss(float divisor) { return op("Add", {op("Erf", {op("Div", {x, number(divisor)})}), number(1)}); }

  // The operator that is left when the product ends in `output`; nothing when the graph stays as it is.
  std::string fused(ValueId output) {
    Graph graph = b.finish(output);
    if (fuse_activations(graph) == 0) return "";
    remove_dead_nodes(graph);
    verify(graph);
    REQUIRE(graph.nodes.size() == 1);
    CHECK(graph.nodes[0].inputs == std::vector<ValueId>{x});
    CHECK(graph.nodes[0].outputs[0] == output);
    CHECK(graph.nodes[0].attributes.empty());
    return graph.nodes[0].op;
  }
};

}  // namespace

TEST_CASE("fuse_activations: x * Sigmoid(x) is Swish, in both orders") {
  for (const bool swapped : {false, true}) {
    Drawing d;
    const ValueId gate = d.op("Sigmoid", {d.x});
    CHECK(d.fused(swapped ? d.op("Mul", {gate, d.x}) : d.op("Mul", {d.x, gate})) == "Swish");
  }
}

TEST_CASE("fuse_activations: kept values are still computed") {
  Drawing d;
  const ValueId gate = d.clipped(3, 0, 6), product = d.op("Mul", {d.x, gate});
  Graph graph = d.b.finish(d.op("Div", {product, d.number(6)}));
  for (const ValueId kept : {gate, product, graph.nodes[0].outputs[0]}) {
    Graph same = graph;
    CHECK(fuse_activations(same, {kept}) == 0);
  }
  CHECK(fuse_activations(graph, {d.x, graph.outputs[0].value}) == 1);
}

TEST_CASE("fuse_activations: HardSwish from HardSigmoid, from Clip with a division, and with a product") {
  Drawing hard;
  const ValueId gate = hard.b.node("HardSigmoid", {hard.x}, {{"alpha", 1.0F / 6}, {"beta", 0.5F}});
  CHECK(hard.fused(hard.op("Mul", {gate, hard.x})) == "HardSwish");
  Drawing divided;
  const ValueId product = divided.op("Mul", {divided.x, divided.clipped(3, 0, 6)});
  CHECK(divided.fused(divided.op("Div", {product, divided.number(6)})) == "HardSwish");
  Drawing scaled;
  const ValueId share = scaled.op("Mul", {scaled.clipped(3, 0, 6), scaled.number(1.0F / 6)});
  CHECK(scaled.fused(scaled.op("Mul", {scaled.x, share})) == "HardSwish");
}

TEST_CASE("fuse_activations: Gelu, with its half at either place") {
  Drawing last;
  const ValueId product = last.op("Mul", {last.x, last.gauss(std::sqrt(2.0F))});
  CHECK(last.fused(last.op("Mul", {product, last.number(0.5)})) == "Gelu");
  Drawing first;
  const ValueId half = first.op("Mul", {first.number(0.5), first.x});
  CHECK(first.fused(first.op("Mul", {half, first.gauss(1.41421356F)})) == "Gelu");
}

TEST_CASE("fuse_activations: what is nearly one stays") {
  Drawing other;
  const ValueId y = other.op("Relu", {other.x});
  CHECK(other.fused(other.op("Mul", {y, other.op("Sigmoid", {other.x})})).empty());
  Drawing limit;
  CHECK(limit.fused(limit.op("Div", {limit.op("Mul", {limit.x, limit.clipped(3, 0, 5)}), limit.number(6)})).empty());
  Drawing whole;
  CHECK(whole.fused(whole.op("Mul", {whole.x, whole.clipped(3, 0, 6)})).empty());
  Drawing defaults;  // of HardSigmoid: 0.2
  CHECK(defaults.fused(defaults.op("Mul", {defaults.x, defaults.op("HardSigmoid", {defaults.x})})).empty());
  Drawing divisor;
  CHECK(divisor.fused(divisor.op("Div", {divisor.x, divisor.op("Sigmoid", {divisor.x})})).empty());
  Drawing two;
  const ValueId erf = two.op("Mul", {two.x, two.gauss(2)});
  CHECK(two.fused(two.op("Mul", {erf, two.number(0.5)})).empty());
}

TEST_CASE("fuse_activations: what else reads the gate keeps it") {
  Drawing d;
  const ValueId gate = d.op("Sigmoid", {d.x});
  Graph graph = d.b.finish(d.op("Add", {d.op("Mul", {d.x, gate}), gate}));
  CHECK(fuse_activations(graph) == 1);
  remove_dead_nodes(graph);
  verify(graph);
  CHECK(graph.nodes.size() == 3);
}

}  // namespace pare::test
