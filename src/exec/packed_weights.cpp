#include "src/exec/packed_weights.hpp"

#include <ATen/autocast_mode.h>
#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>

namespace pare {
namespace {

using Ints = at::IntArrayRef;
using MaybeTensor = std::optional<at::Tensor>;

// LibTorch has these for its own compiler, where it is built with oneDNN and MKL.
template <class Signature>
std::optional<c10::TypedOperatorHandle<Signature>> find_operator(const char* name) {
  const auto found = c10::Dispatcher::singleton().findSchema({name, ""});
  return found ? std::optional(found->template typed<Signature>()) : std::nullopt;
}

const auto& pack_convolution() {
  static const auto found =
      find_operator<at::Tensor(const at::Tensor&, Ints, Ints, Ints, int64_t, at::OptionalIntArrayRef)>(
          "mkldnn::_reorder_convolution_weight");
  return found;
}

const auto& convolve_packed() {
  static const auto found = find_operator<at::Tensor(
      const at::Tensor&, const at::Tensor&, const MaybeTensor&, Ints, Ints, Ints, int64_t, std::string_view,
      c10::List<std::optional<at::Scalar>>, std::optional<std::string_view>)>("mkldnn::_convolution_pointwise");
  return found;
}

const auto& pack_matrix() {
  static const auto found =
      find_operator<at::Tensor(const at::Tensor&, std::optional<c10::SymInt>)>("mkldnn::_reorder_linear_weight");
  return found;
}

const auto& multiply_packed() {
  static const auto found =
      find_operator<at::Tensor(const at::Tensor&, const at::Tensor&, const MaybeTensor&, std::string_view,
                               c10::List<std::optional<at::Scalar>>, std::optional<std::string_view>)>(
          "mkldnn::_linear_pointwise");
  return found;
}

const auto& pack_matrix_for_mkl() {
  static const auto found = find_operator<at::Tensor(const at::Tensor&, int64_t)>("mkl::_mkl_reorder_linear_weight");
  return found;
}

const auto& multiply_in_mkl() {
  static const auto found =
      find_operator<at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&, const MaybeTensor&, int64_t)>(
          "mkl::_mkl_linear");
  return found;
}

// MKL uses AVX-512 on Intel's processors alone; oneDNN's products are 1.5 times as fast as MKL's on AMD's (Zen 4).
bool prefers_mkl() {
#if defined(__x86_64__)
  return __builtin_cpu_is("intel") && pack_matrix_for_mkl() && multiply_in_mkl();
#else
  return false;
#endif
}

bool is_plain(const at::Tensor& x, const at::Tensor& weight) {
  return x.scalar_type() == at::kFloat && weight.scalar_type() == at::kFloat && x.device().is_cpu() && x.numel() > 0 &&
         !c10::GradMode::is_enabled() && !at::autocast::is_autocast_enabled(at::kCPU);
}

// The packed operators check no sizes: what does not fit goes to ATen's own, which refuse it or broadcast.
bool fits_rows(const at::Tensor& bias, const at::Tensor& weight) {
  return !bias.defined() || (bias.scalar_type() == at::kFloat && bias.dim() == 1 && bias.size(0) == weight.size(0));
}

bool fits(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const ConvolutionSizes& sizes) {
  if (x.dim() != 4 || weight.dim() != 4 || weight.numel() == 0 || x.size(1) != weight.size(1) * sizes.group ||
      weight.size(0) % sizes.group != 0 || !fits_rows(bias, weight))
    return false;
  for (size_t i = 0; i < 2; ++i) {
    const auto axis = static_cast<int64_t>(i) + 2;
    const int64_t window = sizes.dilations[i] * (weight.size(axis) - 1) + 1;
    if (sizes.pads[i] < 0 || x.size(axis) + 2 * sizes.pads[i] < window) return false;
  }
  return true;
}

MaybeTensor maybe(const at::Tensor& tensor) { return tensor.defined() ? MaybeTensor(tensor) : std::nullopt; }

}  // namespace

std::optional<at::Tensor> PackedWeight::convolve(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                                                 const ConvolutionSizes& sizes) {
  if (!is_plain(x, weight) || !fits(x, weight, bias, sizes) || !pack_convolution() || !convolve_packed())
    return std::nullopt;
  std::call_once(packing_, [&] {
    packed_ = pack_convolution()->call(weight, sizes.pads, sizes.strides, sizes.dilations, sizes.group, x.sizes());
  });
  const c10::List<std::optional<at::Scalar>> no_scalars;
  return convolve_packed()->call(x.contiguous(at::MemoryFormat::ChannelsLast), packed_, maybe(bias), sizes.pads,
                                 sizes.strides, sizes.dilations, sizes.group, "none", no_scalars, "");
}

std::optional<at::Tensor> PackedWeight::multiply(const at::Tensor& x, const at::Tensor& weight,
                                                 const at::Tensor& bias) {
  // One row leaves nothing to gain; with many, packing is a small part of the work, and MKL does it in each call.
  constexpr int64_t least_rows = 2, most_rows = 256;
  static const bool in_mkl = prefers_mkl();
  if (!is_plain(x, weight) || x.dim() < 2 || weight.numel() == 0 || x.size(-1) != weight.size(1) ||
      !fits_rows(bias, weight) || !(in_mkl || (pack_matrix() && multiply_packed())))
    return std::nullopt;
  const int64_t height = x.numel() / x.size(-1);
  if (height < least_rows || (in_mkl && height > most_rows)) return std::nullopt;
  std::call_once(packing_, [&] {
    height_ = height;
    rows_ = weight.contiguous();
    if (in_mkl) {
      packed_ = pack_matrix_for_mkl()->call(rows_, height);
    } else {
      packed_ = pack_matrix()->call(rows_, c10::SymInt(height));
      rows_.reset();
    }
  });
  // Both forms are for a number of rows.
  if (height != height_) return std::nullopt;
  if (in_mkl) return multiply_in_mkl()->call(x, packed_, rows_, maybe(bias), height);
  const c10::List<std::optional<at::Scalar>> no_scalars;
  return multiply_packed()->call(x, packed_, maybe(bias), "none", no_scalars, "");
}

}  // namespace pare
