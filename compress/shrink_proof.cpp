#include "compress/shrink_proof.hpp"

#include <cmath>
#include <limits>

#include <ATen/ops/abs.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>

#include "src/core/error.hpp"
#include "src/core/random.hpp"
#include "src/exec/executor.hpp"
#include "src/exec/tensors.hpp"

namespace pare {
namespace {

bool becomes_double(DType dtype) {
  return dtype == DType::float32 || dtype == DType::float16 || dtype == DType::bfloat16;
}

Tensor as_double(const Tensor& tensor) {
  return becomes_double(tensor.dtype) ? from_aten(to_aten(tensor), DType::float64) : tensor;
}

std::vector<at::Tensor> outputs_of(const Graph& graph, std::span<const at::Tensor> inputs) {
  const Graph wide = in_double(graph);
  const Executor executor(wide);
  const Parameters parameters(wide, at::kCPU, Training::off);
  return executor.run(parameters, inputs, false);
}

}  // namespace

Graph in_double(const Graph& graph) {
  Graph wide = graph;
  for (Value& value : wide.values) {
    if (becomes_double(value.dtype)) value.dtype = DType::float64;
    if (value.constant) value.constant = as_double(*value.constant);
  }
  for (Node& node : wide.nodes) {
    if (node.op == "Cast" && becomes_double(static_cast<DType>(node.integer("to", 0))))
      node.attributes["to"] = static_cast<int64_t>(DType::float64);
    for (auto& [name, attribute] : node.attributes)
      if (auto* tensor = std::get_if<Tensor>(&attribute)) *tensor = as_double(*tensor);
    // A constant's fill without a value is float32.
    if (node.op == "ConstantOfShape" && !node.has("value"))
      node.attributes["value"] = Tensor::of<double>(DType::float64, {1}, {0.0});
  }
  return wide;
}

ShrinkProof prove_shrink(const Graph& masked, const Graph& shrunk, std::span<const at::Tensor> inputs) {
  const c10::AutoGradMode no_grad(false);
  std::vector<at::Tensor> wide;
  for (const at::Tensor& input : inputs) wide.push_back(input.is_floating_point() ? input.to(at::kDouble) : input);
  const auto expected = outputs_of(masked, wide);
  const auto found = outputs_of(shrunk, wide);
  ShrinkProof worst;
  double largest_ratio = -1;
  for (size_t i = 0; i < expected.size(); ++i) {
    ShrinkProof here;
    here.output = masked.value(masked.outputs[i].value).name;
    const at::Tensor a = expected[i].to(at::kDouble);
    const at::Tensor b = found[i].to(at::kDouble);
    const bool comparable =
        a.sizes() == b.sizes() && at::isfinite(a).all().item<bool>() && at::isfinite(b).all().item<bool>();
    if (!comparable) {
      here.difference = std::numeric_limits<double>::infinity();
    } else if (a.numel() > 0) {
      here.magnitude = a.abs().max().item<double>();
      here.difference = a.sub(b).abs().max().item<double>();
    }
    const double ratio = here.difference == 0 ? 0 : here.difference / here.magnitude;
    if (ratio <= largest_ratio) continue;
    largest_ratio = ratio;
    worst = here;
  }
  return worst;
}

std::vector<at::Tensor> random_inputs(const Graph& sized, uint64_t seed) {
  std::vector<at::Tensor> inputs;
  for (const Port& port : sized.inputs) {
    const Value& value = sized.value(port.value);
    if (!value.shape) fail_input("input '{}' declares no shape; give samples with --data", value.name);
    const at::Tensor numbers = at::empty(*value.shape, at::kFloat);
    const RandomKey key{seed, random_stream(value.name)};
    float* target = numbers.mutable_data_ptr<float>();
    for (int64_t i = 0; i < numbers.numel(); ++i) target[i] = random_normal(key, static_cast<uint64_t>(i));
    if (is_float(value.dtype)) inputs.push_back(numbers.to(scalar_type_of(value.dtype)));
    else if (value.dtype == DType::boolean) inputs.push_back(numbers.gt(0));
    else inputs.push_back(numbers.abs().mul(3).clamp_max(7).to(scalar_type_of(value.dtype)));
  }
  return inputs;
}

}  // namespace pare
