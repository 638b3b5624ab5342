// Operators of detectors: boxes, regions of interest, sampling at positions.
#include <algorithm>
#include <cmath>

#include <ATen/ops/amax.h>
#include <ATen/ops/grid_sampler.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "src/core/error.hpp"
#include "src/exec/ops.hpp"

namespace pare::ops {
namespace {

struct Box {
  float left, top, right, bottom;

  float area() const { return (right - left) * (bottom - top); }
};

// Corners (y1, x1, y2, x2) in any order, or centre and size (x, y, width, height).
Box box_at(const float* values, bool centred) {
  if (centred)
    return {values[0] - values[2] / 2, values[1] - values[3] / 2, values[0] + values[2] / 2, values[1] + values[3] / 2};
  return {std::min(values[1], values[3]), std::min(values[0], values[2]), std::max(values[1], values[3]),
          std::max(values[0], values[2])};
}

bool overlap_more(const Box& a, const Box& b, float threshold) {
  const float width = std::min(a.right, b.right) - std::max(a.left, b.left);
  const float height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  if (width <= 0 || height <= 0 || a.area() <= 0 || b.area() <= 0) return false;
  const float shared = width * height;
  return shared / (a.area() + b.area() - shared) > threshold;
}

struct Suppression {
  int64_t most;
  float overlap;
  bool scored;  // boxes need a score above `score`
  float score;
  bool centred;
};

// The kept boxes of one class: best scores first, ties by index.
std::vector<int64_t> kept_boxes(const float* boxes, const float* scores, int64_t count, const Suppression& rule) {
  std::vector<int64_t> order;
  for (int64_t i = 0; i < count; ++i)
    if (!rule.scored || scores[i] > rule.score) order.push_back(i);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return scores[a] > scores[b]; });
  std::vector<int64_t> kept;
  for (const int64_t i : order) {
    if (static_cast<int64_t>(kept.size()) >= rule.most) break;
    const Box box = box_at(boxes + 4 * i, rule.centred);
    if (std::none_of(kept.begin(), kept.end(),
                     [&](int64_t k) { return overlap_more(box, box_at(boxes + 4 * k, rule.centred), rule.overlap); }))
      kept.push_back(i);
  }
  return kept;
}

at::Tensor host_floats(const at::Tensor& tensor) { return tensor.detach().to(at::kCPU, at::kFloat).contiguous(); }

}  // namespace

Step non_max_suppression(const Site& site) {
  const bool centred = site.node.integer("center_point_box", 0) != 0;
  return [centred](const Call& call) {
    const at::Tensor boxes = host_floats(call.in[0]), scores = host_floats(call.in[1]);
    const auto given = [&](size_t index) { return call.optional(index).defined() && call.in[index].numel() > 0; };
    const auto number = [&](size_t index) {
      return given(index) ? call.in[index].reshape({-1})[0].item<double>() : 0.0;
    };
    const Suppression rule{static_cast<int64_t>(number(2)), static_cast<float>(number(3)), given(4),
                           static_cast<float>(number(4)), centred};
    const int64_t classes = scores.size(1), count = boxes.size(1);
    std::vector<int64_t> selected;  // triples of batch, class and box
    for (int64_t n = 0; n < boxes.size(0); ++n)
      for (int64_t c = 0; c < classes; ++c)
        for (const int64_t box : kept_boxes(boxes.const_data_ptr<float>() + 4 * n * count,
                                            scores.const_data_ptr<float>() + (n * classes + c) * count, count, rule))
          selected.insert(selected.end(), {n, c, box});
    call.out[0] = at::tensor(selected, at::TensorOptions().dtype(at::kLong)).reshape({-1, 3});
  };
}

namespace {

// Where a region's samples along one axis lie between the input's places, and how those weigh; samples beyond the input
// weigh nothing.
struct Samples {
  std::vector<int64_t> low, high;
  std::vector<double> low_weight, high_weight;
};

Samples samples_along(double start, double length, int64_t count, int64_t size) {
  Samples samples;
  const double step = length / static_cast<double>(count);
  for (int64_t i = 0; i < count; ++i) {
    const double exact = start + (static_cast<double>(i) + 0.5) * step;
    const bool inside = exact >= -1.0 && exact <= static_cast<double>(size);
    const double place = std::clamp(exact, 0.0, static_cast<double>(size - 1));
    const auto low = static_cast<int64_t>(place);
    const double beyond = place - static_cast<double>(low);
    samples.low.push_back(low);
    samples.high.push_back(std::min(low + 1, size - 1));
    samples.low_weight.push_back(inside ? 1.0 - beyond : 0.0);
    samples.high_weight.push_back(inside ? beyond : 0.0);
  }
  return samples;
}

// The mean over each bin's samples as weights of the input's places: [bins, size].
at::Tensor mean_weights(const Samples& samples, int64_t bins, int64_t size, const at::TensorOptions& options) {
  at::Tensor weights = at::zeros({bins, size}, at::TensorOptions().dtype(at::kDouble));
  auto* row = weights.mutable_data_ptr<double>();
  const size_t per_bin = samples.low.size() / static_cast<size_t>(bins);
  for (size_t i = 0; i < samples.low.size(); ++i) {
    double* bin = row + static_cast<int64_t>(i / per_bin) * size;
    bin[samples.low[i]] += samples.low_weight[i] / static_cast<double>(per_bin);
    bin[samples.high[i]] += samples.high_weight[i] / static_cast<double>(per_bin);
  }
  return weights.to(options);
}

// The largest of the four weighted corners over a bin's samples: how the specification's reference and ONNX Runtime
// define the maximum. [C, H, W] -> [C, height, width].
at::Tensor largest_corners(const at::Tensor& image, const Samples& rows, const Samples& columns, int64_t height,
                           int64_t width) {
  const at::TensorOptions whole = image.options().requires_grad(false).dtype(at::kLong);
  const at::TensorOptions real = image.options().requires_grad(false);
  const auto down = static_cast<int64_t>(rows.low.size()), across = static_cast<int64_t>(columns.low.size());
  at::Tensor largest;
  for (const bool lower : {true, false}) {
    const at::Tensor row = at::tensor(lower ? rows.low_weight : rows.high_weight).to(real).reshape({1, down, 1});
    const at::Tensor lines = at::index_select(image, 1, at::tensor(lower ? rows.low : rows.high).to(whole));
    for (const bool left : {true, false}) {
      const at::Tensor column =
          at::tensor(left ? columns.low_weight : columns.high_weight).to(real).reshape({1, 1, across});
      const at::Tensor corner =
          at::index_select(lines, 2, at::tensor(left ? columns.low : columns.high).to(whole)).mul(row).mul(column);
      largest = largest.defined() ? at::maximum(largest, corner) : corner;
    }
  }
  return at::amax(largest.reshape({image.size(0), height, down / height, width, across / width}), {2, 4});
}

struct Regions {
  bool average, half_pixel;
  int64_t height, width, ratio;
  double scale;
};

// One region of [C, H, W] as [C, height, width]. Bilinear sampling and averaging both work along one axis at a time.
at::Tensor region(const at::Tensor& image, const double* corners, const Regions& settings) {
  const double offset = settings.half_pixel ? 0.5 : 0.0;
  const double left = corners[0] * settings.scale - offset, top = corners[1] * settings.scale - offset;
  double width = corners[2] * settings.scale - offset - left, height = corners[3] * settings.scale - offset - top;
  if (!settings.half_pixel) {
    width = std::max(width, 1.0);
    height = std::max(height, 1.0);
  }
  const auto per_bin = [&](double length, int64_t bins) {
    const auto needed = static_cast<int64_t>(std::ceil(length / static_cast<double>(bins)));
    return settings.ratio > 0 ? settings.ratio : std::max<int64_t>(1, needed);
  };
  const int64_t down = per_bin(height, settings.height), across = per_bin(width, settings.width);
  const Samples rows = samples_along(top, height, settings.height * down, image.size(1));
  const Samples columns = samples_along(left, width, settings.width * across, image.size(2));
  if (!settings.average) return largest_corners(image, rows, columns, settings.height, settings.width);
  const at::TensorOptions real = image.options().requires_grad(false);
  return at::matmul(at::matmul(mean_weights(rows, settings.height, image.size(1), real), image),
                    mean_weights(columns, settings.width, image.size(2), real).t());
}

}  // namespace

Step roi_align(const Site& site) {
  const Node& node = site.node;
  const Regions settings{
      node.text("mode", "avg") == "avg", node.text("coordinate_transformation_mode", "half_pixel") == "half_pixel",
      node.integer("output_height", 1),  node.integer("output_width", 1),
      node.integer("sampling_ratio", 0), node.real("spatial_scale", 1.0f)};
  return [settings](const Call& call) {
    const at::Tensor& x = call.in[0];
    const at::Tensor corners = call.in[1].detach().to(at::kCPU, at::kDouble).contiguous();
    const std::vector<int64_t> batch = integers_of(call.in[2]);
    std::vector<at::Tensor> regions;
    for (size_t i = 0; i < batch.size(); ++i)
      regions.push_back(region(x[batch[i]], corners.const_data_ptr<double>() + 4 * i, settings));
    call.out[0] =
        regions.empty() ? at::zeros({0, x.size(1), settings.height, settings.width}, x.options()) : at::stack(regions);
  };
}

namespace {

using Names = std::initializer_list<std::string_view>;

// The attribute's place among the names that it may have, which ATen numbers in the same order.
int64_t place_among(const Site& site, const char* attribute, const Names& names) {
  const std::string value = site.node.text(attribute, *names.begin());
  int64_t place = 0;
  for (const std::string_view name : names) {
    if (name == value) return place;
    ++place;
  }
  fail_input("{}: {} '{}' is not supported (expected one of {})", site.node.label(), attribute, value,
             fmt::join(names, ", "));
}

}  // namespace

Step grid_sample(const Site& site) {
  const int64_t mode = place_among(site, "mode", {"linear", "nearest", "cubic"});
  const int64_t padding = place_among(site, "padding_mode", {"zeros", "border", "reflection"});
  const bool align = site.node.integer("align_corners", 0) != 0;
  return [=](const Call& call) { call.out[0] = at::grid_sampler(call.in[0], call.in[1], mode, padding, align); };
}

}  // namespace pare::ops
