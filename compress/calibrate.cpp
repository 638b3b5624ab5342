#include "compress/calibrate.hpp"

#include <cstring>

#include <ATen/ops/_to_copy.h>
#include <ATen/ops/empty.h>

#include "src/core/error.hpp"

namespace pare {
namespace {

template <class T>
at::Tensor on_device(const T& initial, at::Device device) {
  at::Tensor bytes = at::empty({static_cast<int64_t>(sizeof(T))}, at::kByte);
  std::memcpy(bytes.mutable_data_ptr(), &initial, sizeof(T));
  return bytes.to(device);
}

template <class T>
T from_device(const at::Tensor& bytes) {
  const at::Tensor host = bytes.to(at::kCPU);
  T value;
  std::memcpy(&value, host.const_data_ptr(), sizeof(T));
  return value;
}

kernels::FloatType float_type_of(const at::Tensor& tensor) {
  if (tensor.scalar_type() == at::kFloat) return kernels::FloatType::fp32;
  if (tensor.scalar_type() == at::kBFloat16) return kernels::FloatType::bf16;
  if (tensor.scalar_type() == at::kHalf) return kernels::FloatType::fp16;
  fail_run("calibration: values of type {} cannot be observed", c10::toString(tensor.scalar_type()));
}

// How much worse for the values themselves a range may be that is as good as the best: ranges that few samples' outputs
// prefer are no better for others where the values lose more.
constexpr double close_error = 1.5;

}  // namespace

Calibrator::Calibrator(const Graph& graph, const QuantPlacement& placement, const Calibration& calibration,
                       at::Device device)
    : graph_(graph), placement_(placement), calibration_(calibration) {
  observation_.watched.resize(graph.values.size(), false);
  for (const QuantPlace& place : placement.places) {
    if (place.kind != QuantPlace::Kind::activation || place.same_as != no_value) continue;
    observation_.watched[static_cast<size_t>(place.value)] = true;
    observed_.emplace(place.value, calibration.method == CalibrationMethod::minmax
                                       ? on_device(kernels::ValueRange{}, device)
                                       : on_device(kernels::Histogram{}, device));
  }
  observation_.seen = [this](ValueId id, const at::Tensor& value) { observe(id, value); };
}

void Calibrator::observe(ValueId id, const at::Tensor& value) {
  // The order of the elements does not matter.
  const at::Tensor dense = value.is_non_overlapping_and_dense() ? value : value.contiguous();
  const kernels::Observed observed{dense.const_data_ptr(), float_type_of(dense), dense.numel()};
  void* target = observed_.at(id).mutable_data_ptr();
  const kernels::Device device{dense.is_cuda(), nullptr};
  if (calibration_.method == CalibrationMethod::minmax)
    kernels::observe_range(device, observed, static_cast<kernels::ValueRange*>(target));
  else kernels::observe_histogram(device, observed, static_cast<kernels::Histogram*>(target));
}

kernels::Histogram Calibrator::histogram_of(const QuantPlace& place) const {
  const at::Tensor& observed = observed_.at(place.value);
  kernels::Histogram histogram;
  if (calibration_.method == CalibrationMethod::minmax) histogram.range = from_device<kernels::ValueRange>(observed);
  else histogram = from_device<kernels::Histogram>(observed);
  const std::string& name = graph_.value(place.value).name;
  if (histogram.range.non_finite > 0)
    fail_input("value '{}' of node '{}': {} values are NaN or infinite on the calibration samples; --exclude the node",
               name, place.layer, histogram.range.non_finite);
  if (histogram.range.empty())
    fail_input("value '{}' of node '{}': was never computed on the calibration samples; --exclude the node", name,
               place.layer);
  return limited(histogram, place.limits.low, place.limits.high);
}

std::map<ValueId, ActivationCodes> Calibrator::choose(const std::function<CodeForm(const QuantPlace&)>& form) const {
  std::map<ValueId, ActivationCodes> codes;
  for (const QuantPlace& place : placement_.places) {
    if (!observed_.contains(place.value)) continue;
    const CodeForm wanted = form(place);
    codes.emplace(place.value,
                  codes_of(choose_range(histogram_of(place), calibration_, wanted), place.non_negative, wanted));
  }
  return codes;
}

std::map<ValueId, std::vector<CodesChoice>> Calibrator::choices(
    const std::function<CodeForm(const QuantPlace&)>& form) const {
  std::map<ValueId, std::vector<CodesChoice>> choices;
  for (const auto& [value, codes] : choose(form)) choices[value].push_back({codes, true});
  if (calibration_.method != CalibrationMethod::mse) return choices;
  constexpr float parts[] = {1, 0.875f, 0.75f, 0.625f, 0.5f, 0.375f, 0.25f, 0.125f};
  constexpr float one_sided[] = {0.75f, 0.5f, 0.25f, 0.125f};
  for (const QuantPlace& place : placement_.places) {
    if (!observed_.contains(place.value)) continue;
    const CodeForm wanted = form(place);
    const kernels::Histogram histogram = histogram_of(place);
    const ObservedRange all = choose_range(histogram, {CalibrationMethod::minmax}, wanted);
    const double most = close_error * range_error(histogram, choose_range(histogram, calibration_, wanted), wanted);
    const auto consider = [&](float low, float high) {
      const ObservedRange range{all.low * low, all.high * high};
      choices[place.value].push_back(
          {codes_of(range, place.non_negative, wanted), range_error(histogram, range, wanted) <= most});
    };
    for (const float part : parts) consider(part, part);
    if (place.non_negative || wanted.symmetric || wanted.is_signed || all.low >= 0) continue;
    for (const float part : one_sided) consider(part, 1);
    for (const float part : one_sided) consider(1, part);
  }
  return choices;
}

}  // namespace pare
