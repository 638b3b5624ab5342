#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/gt.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/where.h>
#include <doctest/doctest.h>

#include "compress/float_search.hpp"
#include "compress/noise_shares.hpp"
#include "tests/support/graph_builder.hpp"

namespace pare::test {
namespace {

// Two products of x that are added; the second is multiplied with `gain` on its way to the output.
Graph two_paths(float gain) {
  GraphBuilder b;
  const ValueId x = b.input("x", {-1, 32});
  const ValueId first = b.node("Relu", {b.node("MatMul", {x, b.weight("w1", {32, 32})})});
  const ValueId second = b.node("Tanh", {b.node("MatMul", {x, b.weight("w2", {32, 32})})});
  const ValueId loud = b.node("MatMul", {second, b.weight("w3", {32, 8}, gain)});
  return b.finish(b.node("Sub", {b.node("MatMul", {first, b.weight("w4", {32, 8})}), loud}));
}

// Codes 4 bits wide over -1..1 or coarser by `factor`.
ActivationCodes coarse(float factor) { return {factor * 2 / 15, 8, 0, 15}; }

}  // namespace

TEST_CASE("noise_shares: the share of a value is what rounding it alone adds to the outputs") {
  const Graph graph = two_paths(0.5f);
  const QuantPlacement placement = place_quantization(graph, [](const std::string&) { return true; });
  const ValueId x = graph.find("x");
  REQUIRE(placement.find(x) != nullptr);
  std::map<ValueId, std::vector<CodesChoice>> choices;
  for (const QuantPlace& place : placement.places)
    if (place.kind == QuantPlace::Kind::activation) choices[place.value] = {{coarse(4)}, {{0.05f, 128, 0, 255}}};
  NoiseShares meter(graph, placement, choices, {}, {}, at::kCPU, 3);
  const Executor executor(graph);
  const Parameters parameters(graph, at::kCPU, Training::off);
  double noise = 0, power = 0;
  for (int i = 0; i < 24; ++i) {
    const at::Tensor sample = at::randn({8, 32});
    meter.add({&sample, 1});
    const at::Tensor rounded = sample.div(0.05f).round().clamp(-128, 127).mul(0.05f);
    const c10::AutoGradMode no_grad(false);
    const at::Tensor before = executor.run(parameters, {&sample, 1}, false)[0];
    noise += (executor.run(parameters, {&rounded, 1}, false)[0] - before).square().sum().item<double>();
    power += before.square().sum().item<double>();
  }
  const NoiseShare share = meter.shares().at(x);
  CHECK(share.choice == 1);  // the finer codes
  CHECK(share.noise == doctest::Approx(noise / power).epsilon(0.35));
}

TEST_CASE("noise_shares: codes that are not close are chosen only where batches agree that they are better") {
  const Graph graph = two_paths(0.5f);
  const QuantPlacement placement = place_quantization(graph, [](const std::string&) { return true; });
  const ValueId x = graph.find("x");
  const auto chosen = [&](bool close, int wide_batches) {
    std::map<ValueId, std::vector<CodesChoice>> choices;
    for (const QuantPlace& place : placement.places)
      if (place.kind == QuantPlace::Kind::activation) choices[place.value] = {{{0.1f, 128, 0, 255}, true}};
    choices[x] = {{{0.02f, 128, 0, 255}, true}, {{0.05f, 128, 0, 255}, close}};
    NoiseShares meter(graph, placement, choices, {}, {}, at::kCPU, 3);
    // Of the wide batches a part lies outside of the first codes, which are finer for the others.
    for (int i = 0; i < 12; ++i) {
      const at::Tensor sample = at::randn({8, 32}).mul(i < wide_batches ? 4 : 0.3);
      meter.add({&sample, 1});
    }
    return meter.shares().at(x).choice;
  };
  CHECK(chosen(false, 12) == 1);
  CHECK(chosen(false, 1) == 0);
  CHECK(chosen(true, 1) == 1);
  CHECK(chosen(true, 0) == 0);
}

TEST_CASE("noise_shares: masks at minus infinity and gradients that are no numbers do not count") {
  GraphBuilder b;
  const ValueId x = b.input("x", {-1, 32}), mask = b.input("mask", {-1, 8});
  const ValueId product = b.node("MatMul", {x, b.weight("w", {32, 8})});
  const ValueId root = b.node("Sqrt", {b.node("Relu", {product})});  // infinite slope at 0
  const Graph whole = b.finish(b.node("Add", {product, mask}));
  const auto share_of = [&](const Graph& graph) {
    const QuantPlacement placement =
        place_quantization(graph, [](const std::string& name) { return name == "w" || name == "x"; });
    std::map<ValueId, std::vector<CodesChoice>> choices;
    for (const QuantPlace& place : placement.places)
      if (place.kind == QuantPlace::Kind::activation) choices[place.value] = {{coarse(4)}};
    NoiseShares meter(graph, placement, choices, {}, {}, at::kCPU, 3);
    for (int i = 0; i < 4; ++i) {
      const std::vector<at::Tensor> sample = {
          at::randn({8, 32}),
          at::where(at::randn({8, 8}).gt(0), 0.0, -std::numeric_limits<double>::infinity()).to(at::kFloat)};
      meter.add(sample);
    }
    return meter.shares().at(x).noise;
  };
  CHECK(share_of(whole) > 0);
  Graph rooted = whole;
  rooted.outputs = {{root, {}, false}};
  CHECK(std::isfinite(share_of(rooted)));
}

TEST_CASE("noise_shares: elements drawn from a large value meet their own gradients, however these lie in memory") {
  GraphBuilder b;
  const ValueId seen = b.node("Relu", {b.input("x", {-1, 128, 256})});
  const ValueId turned = b.node("Transpose", {seen}, {{"perm", std::vector<int64_t>{0, 2, 1}}});
  const ValueId rows =
      b.node("Reshape", {turned, b.constant("rows", Tensor::of<int64_t>(DType::int64, {2}, {-1, 128}))});
  const Graph graph = b.finish(b.node("Mul", {rows, b.input("gain", {-1, 1})}));
  const std::map<ValueId, std::vector<CodesChoice>> choices = {{seen, {{{1, 0, 0, 255}}}}};
  NoiseShares meter(graph, {}, choices, {}, {}, at::kCPU, 3);
  // Columns that are rounded have the gain 1, others 1000.
  const at::Tensor odd = at::arange(256, at::kFloat).remainder(2);
  const std::vector<at::Tensor> sample = {at::where(odd.gt(0), 3.0, 2.75).to(at::kFloat).expand({2, 128, 256}),
                                          odd.mul(999).add(1).repeat({2}).view({512, 1})};
  meter.add(sample);
  const double power = 2 * 128 * 128 * (2.75 * 2.75 + 3000.0 * 3000.0), noise = 2 * 128 * 128 * 0.25 * 0.25;
  CHECK(meter.shares().at(seen).noise * power / noise == doctest::Approx(1).epsilon(0.02));
}

TEST_CASE("noise_shares: islands are the noisiest values, and those that cost a layer only where it pays") {
  QuantPlacement placement;
  std::map<ValueId, NoiseShare> shares;
  for (const ValueId id : {0, 1, 2, 3}) {
    placement.places.push_back({});
    placement.places.back().value = id;
  }
  shares = {{0, {0.5, 0}}, {1, {0.2, 0}}, {2, {0.1, 0}}, {3, {0.001, 0}}};
  const auto free = [](const std::set<ValueId>&) { return size_t{4}; };
  CHECK((float_islands(placement, shares, {0.15, 1, 0, 4}, free) == std::set<ValueId>{0, 1}));
  CHECK((float_islands(placement, shares, {0.15, 1, 0, 1}, free) == std::set<ValueId>{0}));
  CHECK(float_islands(placement, shares, {1, 1, 0, 4}, free).empty());
  // Value 1 takes a layer along: it stays where its noise is below what that is worth, and 2 goes instead.
  const auto costs = [](const std::set<ValueId>& floats) { return size_t{4} - floats.count(1); };
  CHECK((float_islands(placement, shares, {0.15, 0.3, 0, 4}, costs) == std::set<ValueId>{0, 2}));
  CHECK((float_islands(placement, shares, {0.15, 0.1, 0, 4}, costs) == std::set<ValueId>{0, 1}));
  // A quarter of the layers may be lost for half of the target.
  CHECK((float_islands(placement, shares, {0.15, 0.3, 0.25, 4}, costs) == std::set<ValueId>{0, 1}));
  CHECK((float_islands(placement, shares, {0.15, 0.3, 0.2, 4}, costs) == std::set<ValueId>{0, 2}));
  // The last layer keeps its integers, however noisy.
  const auto all = [](const std::set<ValueId>& floats) { return 2 - std::min<size_t>(2, floats.size()); };
  CHECK((float_islands(placement, shares, {0.001, 0.01, 0, 4}, all) == std::set<ValueId>{0}));
  CHECK((float_order(shares, {2}) == std::vector<ValueId>{2, 0, 1, 3}));
}

TEST_CASE("float_search: the fewest floats that lose no more, within the evaluations") {
  int asked = 0;
  const auto drop = [&](size_t floats) {
    ++asked;
    return 1.0 / static_cast<double>(1 + floats);
  };
  const FloatSearch found = search_floats(0, 100, 0.1, 20, drop);
  CHECK((found.met && found.floats == 9));
  asked = 0;
  CHECK(search_floats(0, 100, 0.1, 3, drop).met);
  CHECK(asked == 3);
  const FloatSearch missed = search_floats(2, 100, 0.001, 5, drop);
  CHECK_FALSE(missed.met);
  CHECK(missed.drop < 1.0 / 50);
  CHECK(search_floats(4, 100, 0.5, 8, drop).floats == 4);
}

}  // namespace pare::test
