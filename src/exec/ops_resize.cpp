// Resize: each axis on its own, as a product with the matrix of its interpolation weights (ONNX operator Resize).
#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/upsample_nearest2d.h>
#include <ATen/ops/where.h>

#include "src/core/error.hpp"
#include "src/exec/ops.hpp"
#include "src/graph/resize.hpp"

namespace pare::ops {
namespace {

struct Axis {
  int64_t axis = 0;
  int64_t in = 1;
  int64_t out = 1;
  double scale = 1;
  double start = 0;  // of the region, for tf_crop_and_resize
  double end = 1;
};

struct Method {
  std::string mode;         // nearest | linear | cubic
  std::string coordinates;  // coordinate_transformation_mode
  std::string nearest;      // nearest_mode
  double cubic = -0.75;
  bool exclude_outside = false;
  bool antialias = false;
  double extrapolation = 0;
};

// Where output position i lies in the input. What is nearest depends on the last bit where positions lie between two
// elements: in fp32 it is decided as in ONNX Runtime.
template <class Real>
Real source_position(const Method& method, const Axis& axis, int64_t i) {
  const auto x = static_cast<Real>(i);
  const auto in = static_cast<Real>(axis.in);
  const auto out = static_cast<Real>(axis.out);
  const auto scale = static_cast<Real>(axis.scale), start = static_cast<Real>(axis.start);
  const auto end = static_cast<Real>(axis.end), half = static_cast<Real>(0.5);
  if (method.coordinates == "asymmetric") return x / scale;
  // The length is the unrounded one.
  if (method.coordinates == "align_corners") return axis.out == 1 ? 0 : x * (in - 1) / (scale * in - 1);
  if (method.coordinates == "pytorch_half_pixel" && axis.out == 1) return 0;
  if (method.coordinates == "tf_crop_and_resize") {
    if (axis.out == 1) return half * (start + end) * (in - 1);
    return start * (in - 1) + x * (end - start) * (in - 1) / (out - 1);
  }
  const Real half_pixel = (x + half) / scale - half;
  if (method.coordinates != "half_pixel_symmetric") return half_pixel;
  return in / 2 * (1 - out / (scale * in)) + half_pixel;
}

int64_t nearest_index(const std::string& mode, double x) {
  if (mode == "floor") return static_cast<int64_t>(std::floor(x));
  if (mode == "ceil") return static_cast<int64_t>(std::ceil(x));
  if (mode == "round_prefer_ceil") return static_cast<int64_t>(std::floor(x + 0.5));
  return static_cast<int64_t>(std::ceil(x - 0.5));
}

// The weight of an element at `distance`: the triangle, or Keys' cubic convolution (1981) with coefficient a.
double tap(const Method& method, double distance) {
  const double d = std::abs(distance);
  if (method.mode == "linear") return std::max(0.0, 1 - d);
  const double a = method.cubic;
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

// One row of weights over the input's elements. Elements beyond the ends count as the end's, or not at all.
void weights_of(const Method& method, const Axis& axis, double x, float* row) {
  const double shrink = method.antialias ? std::min(1.0, axis.scale) : 1.0;
  const double reach = (method.mode == "linear" ? 1 : 2) / shrink;
  std::vector<std::pair<int64_t, double>> taps;
  double total = 0;
  for (auto j = static_cast<int64_t>(std::floor(x - reach)) + 1; j <= static_cast<int64_t>(std::ceil(x + reach)); ++j) {
    const bool outside = j < 0 || j >= axis.in;
    const double weight = outside && method.exclude_outside ? 0 : tap(method, (static_cast<double>(j) - x) * shrink);
    taps.emplace_back(std::clamp<int64_t>(j, 0, axis.in - 1), weight);
    total += weight;
  }
  for (const auto& [j, weight] : taps) row[j] += static_cast<float>(weight / total);
}

std::vector<double> source_positions(const Method& method, const Axis& axis) {
  std::vector<double> positions;
  for (int64_t i = 0; i < axis.out; ++i)
    positions.push_back(method.mode == "nearest" ? source_position<float>(method, axis, i)
                                                 : source_position<double>(method, axis, i));
  return positions;
}

// Of mode nearest: which element each output position is.
std::vector<int64_t> source_indices(const Method& method, const Axis& axis) {
  std::vector<int64_t> indices;
  for (const double p : source_positions(method, axis))
    indices.push_back(std::clamp<int64_t>(nearest_index(method.nearest, p), 0, axis.in - 1));
  return indices;
}

// Whether every element is repeated, as often as ATen's own operator can tell without rounding.
bool repeats(const Method& method, const Axis& axis) {
  const int64_t factor = axis.in > 0 ? axis.out / axis.in : 0;
  if (factor < 1 || axis.out % axis.in != 0 || (factor & (factor - 1)) != 0) return false;
  const std::vector<int64_t> indices = source_indices(method, axis);
  for (int64_t i = 0; i < axis.out; ++i)
    if (indices[static_cast<size_t>(i)] != i / factor) return false;
  return true;
}

at::Tensor resize_axis(const at::Tensor& x, const Method& method, const Axis& axis) {
  const std::vector<double> positions = source_positions(method, axis);
  at::Tensor y;
  if (method.mode == "nearest") {
    const std::vector<int64_t> indices = source_indices(method, axis);
    y = at::index_select(x, axis.axis, at::tensor(indices, at::TensorOptions().dtype(at::kLong)).to(x.device()));
  } else {
    std::vector<float> weights(static_cast<size_t>(axis.in * axis.out), 0.0f);
    for (int64_t i = 0; i < axis.out; ++i)
      weights_of(method, axis, positions[static_cast<size_t>(i)], weights.data() + i * axis.in);
    const at::Tensor matrix =
        at::from_blob(weights.data(), {axis.out, axis.in}, at::kFloat).to(x.device(), x.scalar_type(), false, true);
    y = at::matmul(x.transpose(axis.axis, -1), matrix.t()).transpose(axis.axis, -1);
  }
  if (method.coordinates != "tf_crop_and_resize") return y;
  std::vector<int64_t> shape(static_cast<size_t>(x.dim()), 1);
  shape[static_cast<size_t>(axis.axis)] = axis.out;
  std::vector<int64_t> inside;
  for (const double p : positions) inside.push_back(p >= 0 && p <= static_cast<double>(axis.in - 1) ? 1 : 0);
  const at::Tensor mask =
      at::tensor(inside, at::TensorOptions().dtype(at::kLong)).to(x.device(), at::kBool).reshape(shape);
  return at::where(mask, y, at::full({}, method.extrapolation, y.options()));
}

at::Tensor resize_axes(const at::Tensor& x, const Method& method, const std::vector<Axis>& axes) {
  // Larger images in one pass over memory, whatever their layout.
  const bool image = x.dim() == 4 && axes.size() == 2 && axes[0].axis == 2 && axes[1].axis == 3;
  if (image && x.is_floating_point() && method.mode == "nearest" && method.coordinates != "tf_crop_and_resize" &&
      repeats(method, axes[0]) && repeats(method, axes[1]))
    return at::upsample_nearest2d(x, {axes[0].out, axes[1].out});
  at::Tensor y = x;
  for (const Axis& axis : axes) y = resize_axis(y, method, axis);
  return y;
}

Method method_of(const Node& node) {
  Method method;
  method.mode = node.text("mode", "nearest");
  method.coordinates = node.text("coordinate_transformation_mode", "half_pixel");
  method.nearest = node.text("nearest_mode", "round_prefer_floor");
  method.cubic = node.real("cubic_coeff_a", -0.75f);
  method.exclude_outside = node.integer("exclude_outside", 0) != 0;
  method.antialias = node.integer("antialias", 0) != 0;
  method.extrapolation = node.real("extrapolation_value", 0);
  if (method.mode != "nearest" && method.mode != "linear" && method.mode != "cubic")
    fail_input("{}: mode '{}' is not supported", node.label(), method.mode);
  return method;
}

std::vector<double> reals_of(const Call& call, size_t input) {
  if (input >= call.in.size() || !call.in[input].defined() || call.in[input].numel() == 0) return {};
  const at::Tensor host = call.in[input].to(at::kCPU, at::kDouble).contiguous();
  return {host.const_data_ptr<double>(), host.const_data_ptr<double>() + host.numel()};
}

}  // namespace

Step resize(const Site& site) {
  const Method method = method_of(site.node);
  const Node node = site.node;
  return [=](const Call& call) {
    const at::Tensor& x = call.in[0];
    const std::vector<double> scales = reals_of(call, 2);
    const std::vector<double> regions = reals_of(call, 1);
    const std::vector<int64_t> sizes =
        call.in.size() > 3 && call.in[3].defined() ? integers_of(call.in[3]) : std::vector<int64_t>{};
    std::vector<Axis> axes;
    for (const ResizedAxis& resized : resized_axes(node, x.sizes().vec(), scales, sizes)) {
      Axis axis{static_cast<int64_t>(resized.axis),
                x.size(static_cast<int64_t>(resized.axis)),
                resized.size,
                resized.scale,
                0,
                1};
      if (!regions.empty() && resized.listed + regions.size() / 2 < regions.size()) {
        axis.start = regions[resized.listed];
        axis.end = regions[resized.listed + regions.size() / 2];
      }
      const bool moves = method.coordinates == "tf_crop_and_resize" && (axis.start != 0 || axis.end != 1);
      if (axis.in != axis.out || axis.scale != 1 || moves) axes.push_back(axis);
    }
    call.out[0] = resize_axes(x, method, axes);
  };
}

}  // namespace pare::ops
