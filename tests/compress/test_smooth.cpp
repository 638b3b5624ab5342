#include <cmath>

#include <doctest/doctest.h>

#include "compress/qdq_placement.hpp"
#include "compress/shrink_proof.hpp"
#include "compress/smooth.hpp"
#include "compress/value_absmax.hpp"
#include "src/graph/shape_rules.hpp"
#include "tests/support/graph_builder.hpp"

namespace pare::test {
namespace {

constexpr int64_t width = 6;

// A block as transformers have it: LayerNormalization, two projections of it, Gelu between two products, and a sum with
// the normalised value where `residual`.
Graph block(bool residual) {
  GraphBuilder b;
  const ValueId x = b.input("x", {2, 3, width});
  const ValueId normal = b.node("LayerNormalization", {x, b.weight("gamma", {width}, 4), b.weight("beta", {width})},
                                {{"axis", int64_t{-1}}});
  const ValueId first = b.node("MatMul", {normal, b.weight("w1", {width, width})});
  const ValueId second =
      b.node("Add", {b.node("MatMul", {normal, b.weight("w2", {width, width})}), b.weight("b2", {width})});
  const ValueId gelu = b.node("Gelu", {second});
  const ValueId down = b.node("Relu", {b.node("MatMul", {gelu, b.weight("w3", {width, width})})});
  const ValueId last = b.node("MatMul", {down, b.weight("w4", {width, width})});
  const ValueId sum = b.node("Add", {first, last});
  Graph graph = b.finish(residual ? b.node("Add", {sum, normal}) : sum);
  infer_shapes(graph);
  return graph;
}

std::map<ValueId, std::vector<float>> measured(const Graph& graph, const std::vector<ValueId>& values) {
  std::map<ValueId, int64_t> axes;
  for (const ValueId value : values) axes[value] = -1;
  ValueAbsmax meter(axes);
  const Executor executor(graph);
  executor.run(Parameters(graph, at::kCPU, Training::off), random_inputs(graph, 3), false, &meter.observation());
  return meter.absmax();
}

std::map<ValueId, std::vector<float>> measured(const Graph& graph, const std::vector<SmoothSite>& sites) {
  std::vector<ValueId> values;
  for (const SmoothSite& site : sites) values.push_back(site.value);
  return measured(graph, values);
}

ValueId input_of(const Graph& graph, const std::string& node_name) {
  const auto found =
      std::find_if(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) { return node.name == node_name; });
  REQUIRE(found != graph.nodes.end());
  return found->inputs[0];
}

}  // namespace

TEST_CASE("smooth: divisions become part of what computes the value, or a product in front of its layers") {
  using Place = SmoothSite::Place;
  for (const bool residual : {false, true}) {
    const auto sites = smooth_sites(block(residual));
    REQUIRE(sites.size() == 3);
    CHECK(sites[0].layers.size() == 2);
    CHECK(sites[0].place == (residual ? Place::copy : Place::folded));
    CHECK(sites[1].place == Place::product);
    CHECK(sites[2].place == Place::folded);
  }
}

TEST_CASE("smooth: the outputs stay for every share") {
  for (const bool residual : {false, true})
    for (const double share : {0.0, 0.5, 0.8, 1.0}) {
      const Graph before = block(residual);
      Graph after = before;
      const auto sites = smooth_sites(before);
      const Smoothed result = smooth(after, sites, measured(before, sites), share);
      verify(after);
      CHECK(result.sites == 3);
      const ShrinkProof proof = prove_shrink(before, after, random_inputs(before, 5));
      CHECK(proof.difference < 1e-6 * proof.magnitude);
    }
}

TEST_CASE("smooth: with 0.5 the values' channels have the ranges of the weights' channels") {
  const Graph before = block(true);
  Graph after = before;
  const auto sites = smooth_sites(before);
  smooth(after, sites, measured(before, sites), 0.5);
  // The weight behind the Gelu also computes a value that is divided afterwards: it has other ranges then.
  for (const SmoothSite& site : {sites[0], sites[2]}) {
    const ValueId now = input_of(after, before.nodes[site.layers[0].node].name);
    const auto values = measured(after, std::vector<ValueId>{now}).at(now);
    const auto consumers = consumers_of(after);
    std::vector<double> weights(static_cast<size_t>(width), 0.0);
    for (const Node* reader : consumers[static_cast<size_t>(now)]) {
      const auto layer = layer_channels(after, consumers, static_cast<size_t>(reader - after.nodes.data()));
      REQUIRE(layer.has_value());
      const auto ranges = input_absmax(after, *layer);
      for (size_t c = 0; c < weights.size(); ++c) weights[c] = std::max(weights[c], ranges[c]);
    }
    for (size_t c = 0; c < weights.size(); ++c)
      CHECK(static_cast<double>(values[c]) == doctest::Approx(weights[c]).epsilon(1e-4));
  }
}

TEST_CASE("smooth: what an inserted product reads is not quantized, what it computes is") {
  Graph graph = block(false);
  const auto sites = smooth_sites(graph);
  const Smoothed result = smooth(graph, sites, measured(graph, sites), 0.5);
  CHECK((result.floats == std::set<ValueId>{sites[1].value}));
  const auto all = [](const std::string&) { return true; };
  const QuantPlacement placement = place_quantization(graph, all, QuantProfile::ort, result.floats);
  CHECK(placement.find(sites[1].value) == nullptr);
  CHECK(placement.find(graph.find(graph.value(sites[1].value).name + "_smooth")) != nullptr);
  CHECK(placement.constants.empty());
  CHECK(placement.layers.size() == 4);
}

}  // namespace pare::test
