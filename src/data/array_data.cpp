#include "src/data/array_data.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "src/core/error.hpp"
#include "src/core/suggest.hpp"
#include "src/data/values.hpp"

namespace pare {
namespace {

constexpr std::array<std::string_view, 2> splits{"train", "test"};
constexpr std::array<std::string_view, 5> label_names{"labels", "label", "y", "targets", "target"};

class ArrayDataset final : public Dataset {
 public:
  ArrayDataset(std::string path, int64_t size) : path_(std::move(path)), size_(size) {}

  // A sample has one element of the array, unless it is `whole`: then all of them have all of it.
  void add(NamedTensor array, bool whole) { add(std::move(array), whole, fields_, arrays_); }
  void add_target(NamedTensor array) { add(std::move(array), false, targets_, target_arrays_); }
  void set_labels(std::vector<int64_t> labels) {
    labels_ = std::move(labels);
    class_count_ = *std::max_element(labels_.begin(), labels_.end()) + 1;
  }

  std::string name() const override { return path_; }
  std::string sample_name(int64_t index) const override { return fmt::format("{}: sample {}", path_, index); }
  int64_t size() const override { return size_; }
  const std::vector<Field>& fields() const override { return fields_; }
  const std::byte* stored(size_t field, int64_t index, std::vector<std::byte>&) const override {
    return element(fields_[field], arrays_[field], index);
  }
  const std::vector<Field>& targets() const override { return targets_; }
  const std::byte* stored_target(size_t target, int64_t index, std::vector<std::byte>&) const override {
    return element(targets_[target], target_arrays_[target], index);
  }
  bool labelled() const override { return !labels_.empty(); }
  int64_t label(int64_t index) const override { return labels_[static_cast<size_t>(index)]; }
  int64_t class_count() const override { return class_count_; }

 private:
  void add(NamedTensor array, bool whole, std::vector<Field>& fields, std::vector<Tensor>& arrays) const {
    Tensor& tensor = array.tensor;
    const bool shared = whole || tensor.shape.empty() || tensor.shape[0] != size_;
    fields.push_back({std::move(array.name), tensor.dtype,
                      shared ? tensor.shape : Shape(tensor.shape.begin() + 1, tensor.shape.end()), shared});
    arrays.push_back(std::move(tensor));
  }
  static const std::byte* element(const Field& field, const Tensor& array, int64_t index) {
    if (field.shared) return array.data.data();
    return array.data.data() + index * (element_count(field.shape) * dtype_bits(field.dtype) / 8);
  }

  std::string path_;
  int64_t size_;
  std::vector<Field> fields_, targets_;
  std::vector<Tensor> arrays_, target_arrays_;
  std::vector<int64_t> labels_;
  int64_t class_count_ = 0;
};

// The part of the data that `name` says the array belongs to.
std::optional<std::string_view> split_of(std::string_view name) {
  for (const std::string_view split : splits)
    if (name.size() > split.size() + 1 && name.ends_with(split) && name[name.size() - split.size() - 1] == '_')
      return split;
  return std::nullopt;
}

std::vector<NamedTensor> arrays_of_split(const std::string& path, std::vector<NamedTensor> arrays,
                                         const DataRequest& request) {
  const auto in_parts = [](const NamedTensor& array) { return split_of(array.name).has_value(); };
  const bool parts = std::any_of(arrays.begin(), arrays.end(), in_parts);
  const bool there = std::any_of(arrays.begin(), arrays.end(),
                                 [&](const NamedTensor& array) { return split_of(array.name) == request.split; });
  if ((parts || request.only_split) && !there)
    fail_usage("--split {}: {} has no arrays with names that end in _{}", request.split, path, request.split);
  if (!parts) return arrays;
  std::vector<NamedTensor> chosen;
  for (NamedTensor& array : arrays) {
    const auto split = split_of(array.name);
    if (split && *split != request.split) continue;
    if (split) array.name.resize(array.name.size() - split->size() - 1);
    chosen.push_back(std::move(array));
  }
  return chosen;
}

// Takes the labels out of `arrays`.
std::optional<NamedTensor> take_labels(const std::string& path, std::vector<NamedTensor>& arrays,
                                       const std::string& wanted) {
  const auto take = [&](std::string_view name) -> std::optional<NamedTensor> {
    const auto found =
        std::find_if(arrays.begin(), arrays.end(), [&](const NamedTensor& array) { return array.name == name; });
    if (found == arrays.end()) return std::nullopt;
    NamedTensor labels = std::move(*found);
    arrays.erase(found);
    return labels;
  };
  if (!wanted.empty()) {
    if (auto labels = take(wanted)) return labels;
    std::vector<std::string> names;
    for (const NamedTensor& array : arrays) names.push_back(array.name);
    fail_usage("--labels {}: {} has no such array{}", wanted, path, did_you_mean(wanted, names));
  }
  if (arrays.size() < 2) return std::nullopt;
  for (const std::string_view name : label_names)
    if (auto labels = take(name)) return labels;
  return std::nullopt;
}

// What the model tells of the arrays: which are samples, and of which all samples have all.
struct ModelView {
  int64_t samples = 0;      // 0: it does not tell
  std::vector<bool> whole;  // by array
};

ModelView view_of_model(const std::vector<NamedTensor>& arrays, const DataRequest& request) {
  ModelView view;
  view.whole.resize(arrays.size());
  if (request.graph == nullptr) return view;
  std::vector<std::string> names;
  for (const NamedTensor& array : arrays) names.push_back(array.name);
  const auto chosen = match_arrays(*request.graph, names, request.named);
  // The input that takes the samples, by how sure that is.
  const Port* best = nullptr;
  int best_rank = 0;
  for (size_t input = 0; input < chosen.size(); ++input) {
    const Port& port = request.graph->inputs[input];
    if (!chosen[input] || !port.ranked || port.dims.empty()) continue;
    const Shape& shape = arrays[*chosen[input]].tensor.shape;
    if (shape.empty()) continue;
    const bool all = port.dims[0].size >= 0 && is_whole_input(port, shape);
    const int rank = !all ? 3 : is_float(request.graph->value(port.value).dtype) ? 2 : 1;
    if (rank < best_rank || (rank == best_rank && (all || shape[0] <= view.samples))) continue;
    best_rank = rank;
    best = &port;
    view.samples = shape[0];
  }
  for (size_t input = 0; best != nullptr && input < chosen.size(); ++input) {
    const Port& port = request.graph->inputs[input];
    if (!chosen[input] || port.dims.empty() || port.dims[0].size < 0 || port.dims[0].size == best->dims[0].size)
      continue;
    view.whole[*chosen[input]] = is_whole_input(port, arrays[*chosen[input]].tensor.shape);
  }
  return view;
}

bool are_classes(const Tensor& labels) {
  return !is_float(labels.dtype) && (labels.shape.size() == 1 || (labels.shape.size() == 2 && labels.shape[1] == 1));
}

}  // namespace

DatasetPtr dataset_of_arrays(const std::string& path, std::vector<NamedTensor> arrays, const DataRequest& request) {
  for (const NamedTensor& array : arrays)
    if (!is_numeric(array.tensor.dtype))
      fail_input("{}: array '{}' is no numbers (got {})", path, array.name, dtype_name(array.tensor.dtype));
  arrays = arrays_of_split(path, std::move(arrays), request);
  std::optional<NamedTensor> labels = take_labels(path, arrays, request.labels);
  if (labels && labels->tensor.shape.empty())
    fail_input("{}: labels '{}' are a single number (expected one a sample)", path, labels->name);
  const ModelView view = view_of_model(arrays, request);
  int64_t size = view.samples;
  if (labels) size = labels->tensor.shape[0];
  else if (size == 0)
    for (const NamedTensor& array : arrays)
      if (!array.tensor.shape.empty()) size = std::max(size, array.tensor.shape[0]);
  if (size == 0 || arrays.empty()) fail_input("{}: the data set is empty (expected at least one sample)", path);
  if (labels && std::none_of(arrays.begin(), arrays.end(), [&](const NamedTensor& array) {
        return !array.tensor.shape.empty() && array.tensor.shape[0] == size;
      }))
    fail_input("{}: labels '{}' do not fit the other arrays (got {} labels, '{}' has shape {})", path, labels->name,
               size, arrays.front().name, shape_text(arrays.front().tensor.shape));
  auto dataset = std::make_shared<ArrayDataset>(path, size);
  for (size_t i = 0; i < arrays.size(); ++i) dataset->add(std::move(arrays[i]), view.whole[i]);
  if (labels && are_classes(labels->tensor))
    dataset->set_labels(with_context(path, [&] { return to_int64(labels->tensor); }));
  else if (labels) dataset->add_target(std::move(*labels));
  return dataset;
}

}  // namespace pare
