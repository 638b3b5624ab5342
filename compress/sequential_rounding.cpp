#include "compress/sequential_rounding.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/from_blob.h>

#include "src/core/error.hpp"

namespace pare {
namespace {

// Gemm's alpha, which is part of what is written.
double factor_of(const Graph& graph, ValueId weight) {
  const std::vector<WeightUse> uses = weight_uses(graph, weight);
  return !uses.empty() && uses.front().node->op == "Gemm" ? uses.front().node->real("alpha", 1) : 1;
}

}  // namespace

SequentialRounding::SequentialRounding(const Graph& exact, Graph quantized, at::Device device, SequentialConfig config,
                                       ForEachBatch for_each_batch)
    : exact_(exact),
      quantized_(std::move(quantized)),
      exact_parameters_(exact_, device, Training::off),
      quantized_parameters_(quantized_, device, Training::off),
      config_(config),
      for_each_batch_(std::move(for_each_batch)) {}

RoundedWeight SequentialRounding::round(ValueId weight, const std::vector<float>& values, EncodedWeight nearest,
                                        bool transposed) {
  RoundedWeight result{std::move(nearest), {}};
  if (has_hessian(exact_, weight)) {
    const std::string name = fmt::format("weight '{}'", exact_.value(weight).name);
    WeightLayout layout = weight_layout(exact_, weight);
    const Shape& written = result.encoded.groups.shape;
    if (transposed) layout.view = {1, written[0], written[1]};
    AdaroundConfig config = config_.adaround;
    config.key.stream ^= random_stream(exact_.value(weight).name);
    const LayerSamples samples = with_context(name, [&] {
      return sample_layer({exact_, exact_parameters_}, {quantized_, quantized_parameters_}, weight, config_.budget,
                          for_each_batch_, config.key);
    });
    config.key.stream ^= random_stream("steps");
    result = round_adaround(values, layout, std::move(result.encoded), samples, config);
  }
  put(weight, result.encoded, transposed);
  return result;
}

void SequentialRounding::put(ValueId weight, const EncodedWeight& rounded, bool transposed) {
  std::vector<float> decoded = rounded.decoded();
  at::Tensor values = at::from_blob(decoded.data(), rounded.groups.shape, at::kFloat);
  const at::Tensor target = quantized_parameters_.writable(weight);
  if (transposed) values = values.t();
  target.copy_(values.div(factor_of(exact_, weight)));
}

}  // namespace pare
