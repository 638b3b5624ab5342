#include "src/train/cached_teacher.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/topk.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "src/core/error.hpp"
#include "src/core/json.hpp"

namespace pare {
namespace {

constexpr int64_t wide = 256;
constexpr int64_t kept = 64;
// Of one row of wide logits: the kept values and the others' mean in fp16, then the places of the kept ones.
constexpr size_t wide_bytes = (kept + 1) * sizeof(c10::Half) + kept * sizeof(int32_t);

// How many rows of wide logits a sample's output is; 0 when it is kept whole.
int64_t wide_rows(const CachedOutput& output, const Shape& shape) {
  if (!output.logits || shape.empty() || shape.back() <= wide) return 0;
  return element_count(shape) / shape.back();
}

size_t bytes_of(const CachedOutput& output, const Shape& shape) {
  const int64_t rows = wide_rows(output, shape);
  return rows > 0 ? static_cast<size_t>(rows) * wide_bytes : static_cast<size_t>(element_count(shape)) * 2;
}

at::Tensor to_half(const at::Tensor& values, const std::string& name) {
  at::Tensor half = values.to(at::kHalf);
  if (!at::isfinite(half).eq(at::isfinite(values)).all().item<bool>())
    fail_input(
        "--teacher-cache: the teacher's output '{}' has values beyond fp16 (got {}, expected up to 65504); give "
        "--teacher-cache off",
        name, values.abs().max().item<double>());
  return half.contiguous();
}

// The samples of one output as bytes, one behind the other. `values` [samples, ...] float on the CPU.
std::vector<std::byte> encoded(const at::Tensor& values, const CachedOutput& output, const Shape& shape) {
  const int64_t samples = values.size(0);
  std::vector<std::byte> bytes(static_cast<size_t>(samples) * bytes_of(output, shape));
  if (wide_rows(output, shape) == 0) {
    const at::Tensor half = to_half(values, output.name);
    if (!bytes.empty()) std::memcpy(bytes.data(), half.const_data_ptr(), bytes.size());
    return bytes;
  }
  const int64_t classes = shape.back();
  const at::Tensor logits = values.reshape({-1, classes});
  const auto [largest, places] = at::topk(logits, kept, 1);
  const at::Tensor all = at::logsumexp(logits, {1}), top = at::logsumexp(largest, {1});
  // log of the others' mean of exp(logit); where nothing is left of them, as small as fp16 can say.
  const at::Tensor others = (all + (top - all).exp().neg().log1p() - std::log(static_cast<double>(classes - kept)));
  const at::Tensor half = to_half(largest, output.name);
  const at::Tensor rest = others.nan_to_num(-65504.0, -65504.0, -65504.0).clamp_min(-65504.0).to(at::kHalf);
  const at::Tensor index = places.to(at::kInt).contiguous();
  for (int64_t i = 0; i < logits.size(0); ++i) {
    std::byte* at = bytes.data() + static_cast<size_t>(i) * wide_bytes;
    std::memcpy(at, half.const_data_ptr<c10::Half>() + i * kept, kept * sizeof(c10::Half));
    std::memcpy(at + kept * sizeof(c10::Half), rest.const_data_ptr<c10::Half>() + i, sizeof(c10::Half));
    std::memcpy(at + (kept + 1) * sizeof(c10::Half), index.const_data_ptr<int32_t>() + i * kept,
                kept * sizeof(int32_t));
  }
  return bytes;
}

c10::Half half_at(const std::byte* bytes, int64_t index) {
  c10::Half value;
  std::memcpy(&value, bytes + static_cast<size_t>(index) * sizeof value, sizeof value);
  return value;
}

// One sample's output, from its bytes.
void decode(const std::byte* bytes, const CachedOutput& output, const Shape& shape, float* values) {
  const int64_t rows = wide_rows(output, shape);
  if (rows == 0) {
    const int64_t count = element_count(shape);
    for (int64_t i = 0; i < count; ++i) values[i] = half_at(bytes, i);
    return;
  }
  const int64_t classes = shape.back();
  for (int64_t r = 0; r < rows; ++r, bytes += wide_bytes, values += classes) {
    std::fill_n(values, classes, static_cast<float>(half_at(bytes, kept)));
    for (int64_t i = 0; i < kept; ++i) {
      int32_t place = 0;
      std::memcpy(&place, bytes + (kept + 1) * sizeof(c10::Half) + static_cast<size_t>(i) * sizeof place, sizeof place);
      if (place < 0 || place >= classes) fail_input("--teacher-cache: a class is out of range (got {})", place);
      values[place] = half_at(bytes, i);
    }
  }
}

}  // namespace

CachedTeacher::CachedTeacher(std::unique_ptr<Teacher> live, CachedTeacherConfig config)
    : live_(std::move(live)), config_(std::move(config)), store_(config_.folder, config_.key, config_.warn) {
  if (!store_.layout().empty()) read_layout(store_.layout());
}

void CachedTeacher::read_layout(const std::string& layout) {
  const Json shapes = Json::parse(layout, nullptr, false);
  bool fits = shapes.is_array() && shapes.size() == config_.outputs.size();
  size_t row_bytes = 0;
  for (size_t i = 0; fits && i < shapes.size(); ++i) {
    fits = shapes[i].is_array() && std::all_of(shapes[i].begin(), shapes[i].end(), [](const Json& size) {
             return size.is_number_unsigned() && size.get<uint64_t>() < (uint64_t{1} << 32);
           });
    if (!fits) break;
    shapes_.push_back(shapes[i].get<Shape>());
    row_bytes += bytes_of(config_.outputs[i], shapes_.back());
  }
  if (!fits || row_bytes != store_.row_bytes())
    fail_input("--teacher-cache: {}: holds other outputs than the teacher's (got {} in {} bytes); give another folder",
               config_.folder, layout, store_.row_bytes());
}

void CachedTeacher::check_shapes(const std::vector<at::Tensor>& outputs, int64_t rows) {
  std::vector<Shape> shapes;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].dim() == 0 || outputs[i].size(0) != rows)
      fail_input(
          "--teacher-cache: the teacher's output '{}' has no batch dimension (got {}, expected {} first); give "
          "--teacher-cache off",
          config_.outputs[i].name, shape_text(outputs[i].sizes().vec()), rows);
    shapes.push_back(outputs[i].sizes().slice(1).vec());
  }
  if (!shapes_.empty() && shapes != shapes_)
    fail_input(
        "--teacher-cache: the teacher's outputs change their shapes between samples (got {}, expected {}); give "
        "--teacher-cache off",
        Json(shapes).dump(), Json(shapes_).dump());
  if (!shapes_.empty()) return;
  shapes_ = std::move(shapes);
  size_t row_bytes = 0;
  for (size_t i = 0; i < shapes_.size(); ++i) row_bytes += bytes_of(config_.outputs[i], shapes_[i]);
  store_.set_layout(Json(shapes_).dump(), row_bytes);
}

SampleKey CachedTeacher::key_of(const Batch& batch, int64_t sample) const {
  XXH3_state_t state;
  XXH3_128bits_reset(&state);
  for (size_t i = 0; i < batch.inputs.size(); ++i) {
    const BatchArray& array = batch.inputs[i];
    const auto bytes = static_cast<size_t>(element_count(array.shape) * dtype_bits(array.dtype) / 8);
    const bool shared = config_.shared_inputs[i];
    const size_t row = shared ? bytes : bytes / static_cast<size_t>(array.shape[0]);
    XXH3_128bits_update(&state, array.data + (shared ? 0 : row * static_cast<size_t>(sample)), row);
  }
  const XXH128_hash_t hash = XXH3_128bits_digest(&state);
  return {hash.low64, hash.high64};
}

void CachedTeacher::compute(const Batch& batch, std::span<const at::Tensor> inputs, int64_t epoch,
                            const std::vector<int64_t>& missing, const std::vector<SampleKey>& keys) {
  const bool part = !config_.fixed_batch && static_cast<int64_t>(missing.size()) < batch.size;
  std::vector<at::Tensor> chosen(inputs.begin(), inputs.end());
  const at::Tensor rows = at::tensor(missing, at::kLong);
  for (size_t i = 0; part && i < chosen.size(); ++i)
    if (!config_.shared_inputs[i]) chosen[i] = at::index_select(chosen[i], 0, rows.to(chosen[i].device()));
  std::vector<at::Tensor> outputs = live_->outputs(batch, chosen, epoch);
  check_shapes(outputs, part ? static_cast<int64_t>(missing.size()) : batch.rows);
  std::vector<int64_t> targets;
  for (const int64_t sample : missing) {
    const int64_t known = store_.find(keys[static_cast<size_t>(sample)]);  // twice in one batch
    targets.push_back(known >= 0 ? known : store_.add(keys[static_cast<size_t>(sample)]));
  }
  size_t offset = 0;
  for (size_t i = 0; i < outputs.size(); ++i) {
    at::Tensor values = outputs[i].to(at::kCPU, at::kFloat);
    if (!part) values = values.index_select(0, rows);
    const std::vector<std::byte> bytes = encoded(values, config_.outputs[i], shapes_[i]);
    const size_t each = bytes_of(config_.outputs[i], shapes_[i]);
    for (size_t j = 0; each > 0 && j < targets.size(); ++j)
      std::memcpy(store_.row(targets[j]) + offset, bytes.data() + j * each, each);
    offset += each;
  }
  computed_ += static_cast<int64_t>(missing.size());
}

std::vector<at::Tensor> CachedTeacher::outputs(const Batch& batch, std::span<const at::Tensor> inputs, int64_t epoch) {
  const c10::AutoGradMode no_grad(false);
  std::vector<SampleKey> keys;
  std::vector<int64_t> missing;
  for (int64_t i = 0; i < batch.size; ++i) {
    keys.push_back(key_of(batch, i));
    if (store_.find(keys.back()) < 0) missing.push_back(i);
  }
  found_ += batch.size - static_cast<int64_t>(missing.size());
  if (!missing.empty()) compute(batch, inputs, epoch, missing, keys);
  std::vector<at::Tensor> results;
  size_t offset = 0;
  for (size_t i = 0; i < shapes_.size(); ++i) {
    Shape whole = shapes_[i];
    whole.insert(whole.begin(), batch.size);
    at::Tensor values = at::empty(whole, at::kFloat);
    const int64_t elements = element_count(shapes_[i]);
    for (int64_t j = 0; j < batch.size; ++j)
      decode(store_.row(store_.find(keys[static_cast<size_t>(j)])) + offset, config_.outputs[i], shapes_[i],
             values.mutable_data_ptr<float>() + j * elements);
    offset += bytes_of(config_.outputs[i], shapes_[i]);
    results.push_back(inputs.empty() ? values : values.to(inputs.front().device()));
  }
  return results;
}

}  // namespace pare
