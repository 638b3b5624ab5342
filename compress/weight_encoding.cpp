#include "compress/weight_encoding.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "src/core/error.hpp"

namespace pare {
namespace {

constexpr int mse_candidates = 24;

// The elements with `axis` first: [before, C, after] -> [C, before, after].
template <class T>
std::vector<T> axis_first(const std::vector<T>& values, kernels::AxisView view, bool back) {
  std::vector<T> moved(values.size());
  for (int64_t o = 0; o < view.outer; ++o)
    for (int64_t c = 0; c < view.length; ++c)
      for (int64_t i = 0; i < view.inner; ++i) {
        const auto in_place = static_cast<size_t>((o * view.length + c) * view.inner + i);
        const auto first = static_cast<size_t>((c * view.outer + o) * view.inner + i);
        back ? moved[in_place] = values[first] : moved[first] = values[in_place];
      }
  return moved;
}

kernels::AxisView view_of(const Shape& shape, size_t axis) {
  kernels::AxisView view{1, shape.at(axis), 1};
  for (size_t i = 0; i < axis; ++i) view.outer *= shape[i];
  for (size_t i = axis + 1; i < shape.size(); ++i) view.inner *= shape[i];
  return view;
}

// Groups of zeros, which could have any scale, get the least of the others': an int32 bias, whose step is a multiple of
// the scale, would be rounded coarsely with theirs. Where all are zeros it is that of usual weights.
void scale_zeros(EncodedWeight& weight, const std::vector<float>& values) {
  constexpr float of_zeros = 1;
  if (std::find(weight.scale.begin(), weight.scale.end(), of_zeros) == weight.scale.end()) return;
  const kernels::ScaleLayout layout = weight.groups.layout();
  std::vector<bool> used(weight.scale.size());
  size_t element = 0;
  for (int64_t o = 0; o < layout.view.outer; ++o)
    for (int64_t place = 0; place < layout.view.length; ++place)
      for (int64_t i = 0; i < layout.view.inner; ++i, ++element)
        if (values[element] != 0) used[static_cast<size_t>(layout.scale_index(o, place, i))] = true;
  float least = std::numeric_limits<float>::infinity();
  for (size_t s = 0; s < used.size(); ++s)
    if (used[s]) least = std::min(least, weight.scale[s]);
  constexpr float usual = 0x1p-10f;
  if (std::isinf(least)) least = usual;
  for (size_t s = 0; s < used.size(); ++s)
    if (!used[s]) weight.scale[s] = least;
}

}  // namespace

Granularity Granularity::parse(const std::string& text) {
  if (text == "tensor") return {Kind::tensor, 0};
  if (text == "channel") return {Kind::channel, 0};
  if (text.starts_with("block:")) {
    int64_t block = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + 6, end, block);
    // Runtimes have kernels for powers of two from 16 on.
    if (error == std::errc() && stop == end && block >= 16 && block <= 65536 && (block & (block - 1)) == 0)
      return {Kind::block, block};
    fail_usage("--granularity: bad block (got '{}', expected a power of two from 16 on, as in block:32)", text);
  }
  fail_usage("--granularity: bad value (got '{}', expected tensor, channel or block:N)", text);
}

kernels::CodeRange signed_codes(int bits) { return {-(1 << (bits - 1)), (1 << (bits - 1)) - 1}; }

kernels::CodeRange symmetric_codes(int bits) {
  const kernels::CodeRange all = signed_codes(bits);
  return {-all.highest, all.highest};
}

kernels::ScaleLayout ScaleGroups::layout() const {
  if (whole) return {{1, element_count(shape), 1}, std::max<int64_t>(1, element_count(shape)), false, false};
  const kernels::AxisView view = view_of(shape, axis);
  if (block == 0) return {view, 1, false, false};
  return {view, block, true, true};
}

Shape ScaleGroups::scale_shape() const {
  if (whole) return {};
  if (block == 0) return {shape.at(axis)};
  Shape scales = shape;
  scales.at(axis) = (shape[axis] + block - 1) / block;
  return scales;
}

std::vector<float> EncodedWeight::decoded() const {
  std::vector<float> values(codes.size());
  kernels::dequantize({}, codes.data(), groups.layout(), scale.data(), nullptr, kernels::IntegerType::int8,
                      values.data());
  return values;
}

std::vector<float> EncodedWeight::element_scales() const {
  EncodedWeight ones = *this;
  std::fill(ones.codes.begin(), ones.codes.end(), uint8_t{1});
  return ones.decoded();
}

EncodedWeight encode_nearest(const std::vector<float>& values, const ScaleGroups& groups, kernels::CodeRange range,
                             ScaleSearch search) {
  EncodedWeight weight{groups, range, std::vector<uint8_t>(values.size()),
                       std::vector<float>(static_cast<size_t>(element_count(groups.scale_shape())))};
  const int candidates = search == ScaleSearch::mse ? mse_candidates : 1;
  kernels::ScaleLayout layout = groups.layout();
  if (layout.scale_outer || layout.view.outer == 1) {
    kernels::encode_weights(values.data(), layout, range, candidates, weight.scale.data(), weight.codes.data());
  } else {
    // Channels that are not the first axis: as rows of their own.
    const kernels::AxisView view = layout.view;
    const std::vector<float> rows = axis_first(values, view, false);
    layout.view = {1, view.length, view.outer * view.inner};
    kernels::encode_weights(rows.data(), layout, range, candidates, weight.scale.data(), weight.codes.data());
    weight.codes = axis_first(weight.codes, view, true);
  }
  scale_zeros(weight, values);
  return weight;
}

Tensor codes_tensor(const EncodedWeight& weight, bool narrow) {
  const bool int4 = narrow && weight.range.lowest >= -8 && weight.range.highest <= 7;
  Tensor tensor{int4 ? DType::int4 : DType::int8, weight.groups.shape, {}};
  std::byte* target = nullptr;
  tensor.data = Bytes::allocate(static_cast<size_t>(tensor.byte_size()), &target);
  auto* bytes = reinterpret_cast<uint8_t*>(target);
  if (int4) kernels::pack_nibbles({}, weight.codes.data(), static_cast<int64_t>(weight.codes.size()), bytes);
  else std::copy(weight.codes.begin(), weight.codes.end(), bytes);
  return tensor;
}

Tensor scale_tensor(const EncodedWeight& weight) {
  return Tensor::of<float>(DType::float32, weight.groups.scale_shape(), weight.scale);
}

double snr_db(const std::vector<float>& reference, const std::vector<float>& values) {
  double signal = 0, noise = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double error = double{reference[i]} - double{values[i]};
    signal += double{reference[i]} * double{reference[i]};
    noise += error * error;
  }
  constexpr double most = 200;
  return noise == 0 ? most : std::min(most, 10 * std::log10(std::max(signal, 1e-300) / noise));
}

std::vector<float> finite_floats(const Tensor& tensor, const std::string& name) {
  const std::vector<double> exact = with_context(fmt::format("tensor '{}'", name), [&] { return to_double(tensor); });
  std::vector<float> values(exact.begin(), exact.end());
  for (size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]))
      fail_input("tensor '{}': element {} is {}; a tensor with NaN or infinity cannot be quantized", name, i,
                 values[i]);
  return values;
}

}  // namespace pare
