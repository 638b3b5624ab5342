#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/randn.h>
#include <doctest/doctest.h>

#include "compress/qat_export.hpp"
#include "compress/qat_graph.hpp"
#include "src/exec/executor.hpp"
#include "src/exec/tensors.hpp"
#include "tests/support/graph_builder.hpp"

namespace pare::test {
namespace {

FakeQuantForm form_of(const QuantPlace& place) {
  FakeQuantForm form;
  form.axis = place.axis;
  if (place.kind == QuantPlace::Kind::weight) form.lowest = -8, form.highest = 7;
  else form.lowest = -8, form.highest = 7, form.zero_point = place.non_negative ? -8 : 0;
  if (place.outer) form.lowest = -128, form.highest = 127;
  return form;
}

bool learned(const QuantPlace& place) { return place.kind == QuantPlace::Kind::activation && !place.non_negative; }

// The small CNN with fake quantization and steps that fit its values.
Graph quantized_cnn() {
  Graph graph = small_cnn();
  insert_fake_quant(graph, place_quantization(graph, [](const std::string&) { return true; }), form_of, learned);
  for (Value& value : graph.values) {
    if (!value.constant || !value.name.ends_with("/step")) continue;
    const auto count = static_cast<size_t>(value.constant->elements());
    std::vector<float> steps(count);
    for (size_t i = 0; i < count; ++i) steps[i] = (count > 1 ? 0.08f : 0.15f) + 0.01f * static_cast<float>(i);
    // The last layer has 8 bits, and steps to match.
    if (value.name.starts_with("fc/"))
      for (float& step : steps) step /= 16;
    value.constant = Tensor::of(DType::float32, value.constant->shape, steps);
  }
  graph.value(graph.find("x/zero")).constant = Tensor::of<float>(DType::float32, {}, {3.4f});
  return graph;
}

std::vector<std::string> ops(const Graph& graph) {
  std::vector<std::string> names;
  for (const Node& node : graph.nodes) names.push_back(node.op);
  return names;
}

std::ptrdiff_t count_of(const Graph& graph, const std::string& op) {
  return std::count_if(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) { return node.op == op; });
}

at::Tensor run(const Graph& graph, const at::Tensor& x) {
  const c10::AutoGradMode no_grad(false);
  const Executor executor(graph);
  return executor.run(Parameters(graph, at::kCPU, Training::off), {&x, 1}, false)[0];
}

const Node& node_named(const Graph& graph, const std::string& name) {
  return *std::find_if(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) { return node.name == name; });
}

}  // namespace

TEST_CASE("qat_graph: without fake quantization the graph computes as before, and its names are free again") {
  const Graph graph = small_cnn(), quantized = quantized_cnn(), back = without_fake_quant(quantized);
  CHECK(count_of(back, "FakeQuant") == 0);
  CHECK(back.find("x/step") == no_value);
  CHECK(back.value(back.outputs[0].value).name == graph.value(graph.outputs[0].value).name);
  const at::Tensor x = at::randn({3, 2, 6, 6});
  CHECK(run(back, x).equal(run(graph, x)));
  CHECK_FALSE(run(quantized, x).equal(run(graph, x)));
}

TEST_CASE("qat_graph: a step that another node reads stays when fake quantization goes") {
  Graph quantized = quantized_cnn();
  const auto reads_step = [&](const Node& node) {
    return is_fake_quant(node) && node.inputs[1] == quantized.find("x/step");
  };
  const auto fake = std::find_if(quantized.nodes.begin(), quantized.nodes.end(), reads_step);
  Node times;
  times.op = "Mul";
  times.name = "times";
  const ValueId input = fake->inputs[0];
  times.inputs = {input, quantized.find("x/step")};
  times.outputs = {quantized.add_value("scaled")};
  quantized.value(times.outputs[0]).dtype = DType::float32;
  quantized.nodes.push_back(times);
  quantized.outputs.push_back({times.outputs[0], {}, false});
  const Graph back = without_fake_quant(quantized);
  CHECK(back.value(back.find("x/step")).constant);
  CHECK(back.find("fc/step") == no_value);
}

TEST_CASE("qat_graph: the fewest bits of weights and of activations, none of a float graph") {
  const LeastBits bits = least_bits(quantized_cnn()), none = least_bits(small_cnn());
  CHECK(bits.weights == 4);
  CHECK(bits.activations == 4);
  CHECK(none.weights == 0);
  CHECK(none.activations == 0);
}

TEST_CASE("qat_graph: every reader of a place reads the quantized value, places with one scale share the constants") {
  const Graph graph = quantized_cnn();
  CHECK(ops(graph) ==
        std::vector<std::string>{"FakeQuant", "FakeQuant", "Conv",      "BatchNormalization", "Relu",
                                 "FakeQuant", "MaxPool",   "FakeQuant", "FakeQuant",          "Conv",
                                 "FakeQuant", "Add",       "Relu",      "FakeQuant",          "GlobalAveragePool",
                                 "FakeQuant", "Flatten",   "FakeQuant", "FakeQuant",          "Gemm"});
  const Node& relu = node_named(graph, "Relu_2_out/quantize");
  const Node& pool = node_named(graph, "MaxPool_3_out/quantize");
  CHECK(relu.inputs[1] == pool.inputs[1]);
  CHECK(graph.value(node_named(graph, "Conv_4").inputs[0]).name == "MaxPool_3_out/quantized");
}

TEST_CASE("qat_graph: the training form leaves out Relu and repeated quantization, and computes the same") {
  const Graph graph = quantized_cnn();
  const Graph training = training_form(graph);
  // Both Relus, and the quantization of what MaxPool and Flatten only move.
  CHECK(training.nodes.size() == graph.nodes.size() - 4);
  CHECK(count_of(training, "Relu") == 0);
  const at::Tensor x = at::randn({4, 2, 6, 6});
  CHECK(run(training, x).equal(run(graph, x)));
}

TEST_CASE("qat_graph: folding a normalization keeps codes and function, negative scales are turned before") {
  Graph graph = small_cnn();
  graph.value(graph.find("scale")).constant = Tensor::of<float>(DType::float32, {4}, {1.2f, -0.7f, 0.3f, -2.0f});
  const at::Tensor x = at::randn({4, 2, 6, 6});
  const at::Tensor before = run(graph, x);
  make_normalization_positive(graph);
  CHECK(run(graph, x).allclose(before, 1e-5, 1e-6));
  for (const double scale : to_double(*graph.value(graph.find("scale")).constant)) CHECK(scale > 0);

  Graph quantized = quantized_cnn();
  CHECK(folded_normalization_scales(quantized) == std::vector<std::string>{"scale"});
  Graph folded = quantized;
  fold_into_steps(folded);
  CHECK(count_of(folded, "BatchNormalization") == 0);
  CHECK(run(folded, x).allclose(run(quantized, x), 1e-4, 1e-5));
  const auto codes = [](const Graph& of) { return lower_fake_quant(of, {}).graph.value(of.find("conv1")).constant; };
  CHECK(std::ranges::equal(codes(folded)->data.span(), codes(quantized)->data.span()));
}

TEST_CASE("qat_export: the lowered graph computes what the simulation does, and comes back as it was") {
  Graph graph = quantized_cnn();
  fold_into_steps(graph);
  const at::Tensor x = at::randn({8, 2, 6, 6});
  for (const bool int4 : {false, true}) {
    const ExportedGraph exported = lower_fake_quant(graph, {int4});
    CHECK(exported.graph.value(exported.graph.find("conv2")).constant->dtype == (int4 ? DType::int4 : DType::int8));
    CHECK(exported.graph.value(exported.graph.find("conv1")).constant->dtype == DType::int8);
    // The biases are rounded to integers, a thousandth of a step or so.
    CHECK(run(exported.graph, x).allclose(run(graph, x), 1e-3, 2e-3));
    for (const Json& grids : {exported.grids, Json()}) {
      const Graph raised = raise_fake_quant(exported.graph, grids);
      CHECK(count_of(raised, "FakeQuant") == 10);
      CHECK(count_of(raised, "DequantizeLinear") == 0);
      CHECK(run(raised, x).equal(run(exported.graph, x)));
      if (grids.is_null()) continue;
      const ExportedGraph again = lower_fake_quant(raised, {int4});
      REQUIRE(ops(again.graph) == ops(exported.graph));
      for (const char* name : {"conv1", "conv2", "fc", "fc.bias/codes", "x/step", "conv2/step"}) {
        CAPTURE(std::string(name));
        REQUIRE(again.graph.find(name) != no_value);
        CHECK(std::ranges::equal(again.graph.value(again.graph.find(name)).constant->data.span(),
                                 exported.graph.value(exported.graph.find(name)).constant->data.span()));
      }
      CHECK(again.grids == exported.grids);
    }
  }
}

TEST_CASE("qat_export: below 8 bits a Clip limits the codes, a shared scale is one tensor") {
  Graph graph = quantized_cnn();
  fold_into_steps(graph);
  const Graph lowered = lower_fake_quant(graph, {}).graph;
  CHECK(count_of(lowered, "Clip") == 4);
  const Node& relu = node_named(lowered, "Relu_2_out/quantize");
  const Node& pool = node_named(lowered, "MaxPool_3_out/quantize");
  CHECK(relu.inputs[1] == pool.inputs[1]);
  CHECK(relu.inputs[2] == pool.inputs[2]);
  CHECK(lowered.value(node_named(lowered, "Conv_4").inputs[2]).name != "");
}

TEST_CASE("qat_export: zeros of a weight stay zero, other quantized nodes stay as they are") {
  Graph graph = quantized_cnn();
  std::vector<float> values(5 * 4 * 9, 0.0f);
  values[7] = 0.3f;
  graph.value(graph.find("conv2")).constant = Tensor::of(DType::float32, {5, 4, 3, 3}, values);
  fold_into_steps(graph);
  const Graph lowered = lower_fake_quant(graph, {}).graph;
  CHECK(count_nonzero(*lowered.value(lowered.find("conv2")).constant) == 1);
  const Graph raised = raise_fake_quant(lowered, {});
  CHECK(count_nonzero(*raised.value(raised.find("conv2")).constant) == 1);

  GraphBuilder b;
  const ValueId x = b.input("x", {-1, 4});
  const ValueId step = b.filled("step", {}, 0.1f), other = b.filled("other", {}, 0.2f);
  const ValueId y = b.node("DequantizeLinear", {b.node("QuantizeLinear", {x, step}), other});
  const Graph unlike = b.finish(y);  // two different scales: no fake quantization
  CHECK(ops(raise_fake_quant(unlike, {})) == ops(unlike));
}

}  // namespace pare::test
