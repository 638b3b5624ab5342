#include "compress/adaround.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/log.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/zeros_like.h>

#include "compress/adam.hpp"
#include "compress/layer_rows.hpp"

namespace pare {
namespace {

// The rectified sigmoid's reach beyond 0 and 1 (equation 23).
constexpr double stretch = 1.2, below = -0.1;
constexpr double first_beta = 20, last_beta = 2;
// Rows at once where all are looked at.
constexpr int64_t piece = 4096;

// [groups, outputs, K] of elements in the weight's own order.
at::Tensor matrices_of(std::vector<float> elements, const WeightLayout& layout, at::Device device) {
  const at::Tensor flat = at::from_blob(elements.data(), {static_cast<int64_t>(elements.size())}, at::kFloat);
  return weight_matrices(layout, flat).clone().to(device);
}

// Outputs, within the layer's bounds, of rows [groups, n, K] by matrices [groups, outputs, K].
at::Tensor outputs_of(const at::Tensor& rows, const at::Tensor& matrices, const LayerEnd& end) {
  at::Tensor outputs = at::matmul(rows, matrices.transpose(1, 2));
  if (end.bias.defined()) outputs.add_(end.bias);
  return outputs;
}

// Sum of squared errors over all rows.
double squared_error(const at::Tensor& matrices, const LayerSamples& samples) {
  double sum = 0;
  for (int64_t begin = 0; begin < samples.inputs.size(1); begin += piece) {
    at::Tensor outputs = outputs_of(samples.inputs.slice(1, begin, begin + piece), matrices, samples.end);
    if (samples.end.limited()) outputs.clamp_(samples.end.low, samples.end.high);
    sum += outputs.sub_(samples.targets.slice(1, begin, begin + piece)).square_().sum(at::kDouble).item<double>();
  }
  return sum;
}

double squared_size(const LayerSamples& samples) {
  return std::max(samples.targets.square().sum(at::kDouble).item<double>(), 1e-300);
}

// The variables of one layer, and what they make of its weights.
class SoftRounding {
 public:
  SoftRounding(const at::Tensor& weights, const at::Tensor& scales, kernels::CodeRange range)
      : scales_(scales),
        floors_(weights.div(scales).floor_().clamp_(range.lowest, range.highest - 1)),
        variables_(start(weights)) {}

  // [groups, outputs, K], between the codes below and above.
  at::Tensor weights() {
    sigmoid_ = at::sigmoid(variables_.leaf());
    up_ = sigmoid_.mul(stretch).add_(below).clamp_(0, 1);
    return floors_.add(up_).mul_(scales_);
  }

  // From the gradient by what weights() gave. `regularization` 0: none.
  void step(at::Tensor gradient, double regularization, double beta, double learning_rate) {
    gradient.mul_(scales_);
    if (regularization > 0) {
      // d(1 - |2h - 1|^beta) / dh
      const at::Tensor side = up_.mul(2).sub_(1);
      gradient.add_(side.abs().pow_(beta - 1).mul_(side.sgn()), -2 * beta * regularization);
    }
    const at::Tensor inside = up_.gt(0).logical_and_(up_.lt(1));
    gradient.mul_(sigmoid_).mul_(at::Tensor(sigmoid_.neg()).add_(1)).mul_(stretch).mul_(inside);
    variables_.step(gradient, learning_rate);
  }

  at::Tensor codes() const { return floors_.add(variables_.leaf().ge(0)); }
  const at::Tensor& floors() const { return floors_; }
  const at::Tensor& scales() const { return scales_; }

 private:
  // Where the rectified sigmoid gives the weights as they are.
  at::Tensor start(const at::Tensor& weights) const {
    constexpr double margin = 0.01;
    const at::Tensor rest = weights.div(scales_).sub_(floors_).clamp_(margin, 1 - margin);
    const at::Tensor share = rest.sub_(below).div_(stretch);
    return at::log(share.div(at::Tensor(share.neg()).add_(1)));
  }

  at::Tensor scales_, floors_;
  Adam variables_;
  at::Tensor sigmoid_, up_;  // of the last weights()
};

// Half the gradient, by the weights, of the squared error of these rows' outputs.
at::Tensor error_gradient(const at::Tensor& weights, const at::Tensor& rows, const at::Tensor& targets,
                          const LayerEnd& end) {
  at::Tensor errors = outputs_of(rows, weights, end);
  at::Tensor inside;
  if (end.limited()) {
    inside = errors.gt(end.low).logical_and_(errors.lt(end.high));
    errors.clamp_(end.low, end.high);
  }
  errors.sub_(targets);
  if (end.limited()) errors.mul_(inside);
  return at::matmul(errors.transpose(1, 2), rows);
}

// Moves single codes to the other one of the two that they may be, as long as that lowers the error: to second order,
// with the curvature as if no output were beyond its bounds, which is never too small. `codes` are changed.
void descend(const at::Tensor& codes, const SoftRounding& rounding, const LayerSamples& samples) {
  constexpr int passes = 3;
  at::Tensor gradient = at::zeros_like(codes);
  at::Tensor curvature;
  for (int64_t begin = 0; begin < samples.inputs.size(1); begin += piece) {
    const at::Tensor rows = samples.inputs.slice(1, begin, begin + piece);
    const at::Tensor part = at::matmul(rows.transpose(1, 2), rows);
    curvature = curvature.defined() ? curvature.add_(part) : part;
    gradient.add_(error_gradient(codes.mul(rounding.scales()), rows, samples.targets.slice(1, begin, begin + piece),
                                 samples.end));
  }
  for (int pass = 0; pass < passes; ++pass)
    for (int64_t k = 0; k < codes.size(2); ++k) {
      at::Tensor code = codes.select(2, k);
      const at::Tensor move = rounding.floors().select(2, k).sub(code).mul_(2).add_(1);  // 1 or -1
      const at::Tensor change = move.mul(rounding.scales().select(2, k));
      const at::Tensor square = change.square().mul_(curvature.select(1, k).select(1, k).unsqueeze(1));
      const at::Tensor better = change.mul(gradient.select(2, k)).mul_(2).add_(square).lt(0);
      code.add_(move.mul(better));
      gradient.add_(change.mul_(better).unsqueeze(2).mul(curvature.select(1, k).unsqueeze(1)));
    }
}

at::Tensor draw(int64_t from, int64_t count, RandomKey key, uint32_t step) {
  std::vector<int64_t> places(static_cast<size_t>(count));
  for (size_t i = 0; i < places.size(); ++i)
    places[i] = static_cast<int64_t>(random_below(static_cast<uint64_t>(from), key, i, step));
  return at::from_blob(places.data(), {count}, at::kLong).clone();
}

std::vector<float> floats_of(const std::vector<uint8_t>& codes) {
  std::vector<float> floats;
  for (const uint8_t code : codes) floats.push_back(static_cast<float>(static_cast<int8_t>(code)));
  return floats;
}

std::vector<uint8_t> bytes_of(const at::Tensor& codes, const WeightLayout& layout) {
  const at::Tensor in_order = at::empty_like(codes, at::TensorOptions(at::kCPU)).reshape({-1});
  set_weight_matrices(layout, codes.to(at::kCPU), in_order);
  const at::Tensor narrow = in_order.to(at::kChar);
  const auto* first = reinterpret_cast<const uint8_t*>(narrow.const_data_ptr<int8_t>());
  return {first, first + narrow.numel()};
}

}  // namespace

double output_error(const EncodedWeight& weight, const WeightLayout& layout, const LayerSamples& samples) {
  return squared_error(matrices_of(weight.decoded(), layout, samples.inputs.device()), samples) / squared_size(samples);
}

RoundedWeight round_adaround(const std::vector<float>& values, const WeightLayout& layout, EncodedWeight nearest,
                             const LayerSamples& samples, const AdaroundConfig& config) {
  const c10::AutoGradMode no_grad(false);
  const at::Device device = samples.inputs.device();
  const int64_t rows = samples.inputs.size(1);
  SoftRounding rounding(matrices_of(values, layout, device), matrices_of(nearest.element_scales(), layout, device),
                        nearest.range);
  RoundedWeight result{std::move(nearest), OutputErrors{}};
  result.errors->nearest = result.errors->rounded = output_error(result.encoded, layout, samples);
  // Both terms as shares: the error of that with nearest rounding, the regularizer of its largest value.
  const double size = result.errors->nearest * squared_size(samples) / static_cast<double>(rows);
  const double regularization = config.regularization / static_cast<double>(values.size());
  if (!(size > 0)) return result;
  for (int64_t step = 0; step < config.steps; ++step) {
    const at::Tensor weights = rounding.weights();
    const at::Tensor chosen =
        draw(rows, std::min(config.batch, rows), config.key, static_cast<uint32_t>(step)).to(device);
    const double done = static_cast<double>(step) / static_cast<double>(config.steps);
    const double cooled = std::max(0.0, (done - config.warm_up) / (1 - config.warm_up));
    const double beta = last_beta + (first_beta - last_beta) * 0.5 * (1 + std::cos(M_PI * cooled));
    const at::Tensor gradient = error_gradient(weights, samples.inputs.index_select(1, chosen),
                                               samples.targets.index_select(1, chosen), samples.end);
    rounding.step(gradient.mul_(2 / (size * static_cast<double>(chosen.numel()))),
                  done < config.warm_up ? 0 : regularization, beta, config.learning_rate);
  }
  const auto take = [&](const at::Tensor& codes) {
    EncodedWeight learned = result.encoded;
    learned.codes = bytes_of(codes, layout);
    const double error = output_error(learned, layout, samples);
    if (!(error < result.errors->rounded)) return;
    result.errors->rounded = error;
    result.encoded = std::move(learned);
  };
  take(rounding.codes());
  const at::Tensor codes = matrices_of(floats_of(result.encoded.codes), layout, device);
  descend(codes, rounding, samples);
  take(codes);
  result.errors->kept_nearest = !(result.errors->rounded < result.errors->nearest);
  return result;
}

}  // namespace pare
