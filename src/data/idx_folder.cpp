#include "src/data/idx_folder.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "src/core/error.hpp"
#include "src/core/suggest.hpp"
#include "src/data/idx.hpp"
#include "src/data/values.hpp"

namespace pare {
namespace {

struct IdxSplit {
  std::string_view name;
  std::string_view prefix;
};

constexpr std::array<IdxSplit, 2> idx_splits{{{"train", "train"}, {"test", "t10k"}}};

// The file "<prefix>-<content>-idx*" of the folder ("." before idx too, as some mirrors name them). The number of
// dimensions and the type in the name are not relied on: the file's header has them.
std::optional<std::string> find_idx(const std::string& folder, std::string_view prefix, std::string_view content) {
  const std::string dashed = fmt::format("{}-{}-idx", prefix, content);
  const std::string dotted = fmt::format("{}-{}.idx", prefix, content);
  std::vector<std::string> found;
  std::error_code unreadable;
  for (const auto& entry : std::filesystem::directory_iterator(folder, unreadable)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(dashed) || name.starts_with(dotted)) found.push_back(name);
  }
  if (unreadable) fail_run("{}: cannot be listed ({}); check its permissions", folder, unreadable.message());
  if (found.empty()) return std::nullopt;
  std::sort(found.begin(), found.end());  // a plain file precedes the same name with .gz
  for (const std::string& name : found)
    if (name != found[0] && name != found[0] + ".gz")
      fail_input("{}: holds two files of {} (got {} and {}, expected one); remove one", folder, content, found[0],
                 name);
  return (std::filesystem::path(folder) / found[0]).string();
}

bool has_labels(const std::string& folder) {
  return std::any_of(idx_splits.begin(), idx_splits.end(),
                     [&](const IdxSplit& split) { return find_idx(folder, split.prefix, "labels").has_value(); });
}

class IdxDataset final : public Dataset {
 public:
  IdxDataset(std::string path, IdxArray images, std::vector<int64_t> labels)
      : path_(std::move(path)), images_(std::move(images)), labels_(std::move(labels)) {
    Shape shape(images_.shape.begin() + 1, images_.shape.end());
    if (shape.size() == 2) shape.insert(shape.begin(), 1);
    sample_elements_ = element_count(shape);
    const Layout layout = shape.size() == 3 ? Layout::nchw : Layout::unknown;
    fields_.push_back({"images", images_.dtype, std::move(shape), false, layout});
    if (!labels_.empty()) class_count_ = *std::max_element(labels_.begin(), labels_.end()) + 1;
  }

  std::string name() const override { return path_; }
  std::string sample_name(int64_t index) const override { return fmt::format("{}: sample {}", path_, index); }
  int64_t size() const override { return images_.shape[0]; }
  const std::vector<Field>& fields() const override { return fields_; }
  const std::byte* stored(size_t, int64_t index, std::vector<std::byte>& scratch) const override {
    const size_t bytes = static_cast<size_t>(dtype_bits(images_.dtype) / 8 * sample_elements_);
    const std::byte* sample = images_.data.data() + static_cast<size_t>(index) * bytes;
    if (images_.dtype == DType::uint8) return sample;
    scratch.assign(sample, sample + bytes);
    swap_bytes(scratch, static_cast<size_t>(dtype_bits(images_.dtype) / 8));
    return scratch.data();
  }
  bool labelled() const override { return !labels_.empty(); }
  int64_t label(int64_t index) const override { return labels_[static_cast<size_t>(index)]; }
  int64_t class_count() const override { return class_count_; }

 private:
  std::string path_;
  IdxArray images_;
  std::vector<int64_t> labels_;
  std::vector<Field> fields_;
  int64_t sample_elements_ = 0;
  int64_t class_count_ = 0;
};

IdxArray read_images(const std::string& path) {
  IdxArray images = read_idx(path);
  if (images.shape.size() < 2)
    fail_input("{}: holds no samples (got 1 dimension, expected samples x rows x columns)", path);
  if (element_count(images.shape) == 0)
    fail_input("{}: the data set is empty (got {}, expected at least one sample)", path, shape_text(images.shape));
  return images;
}

std::vector<int64_t> read_labels(const std::string& path, int64_t samples) {
  const IdxArray array = read_idx(path);
  if (array.shape.size() != 1 || is_float(array.dtype))
    fail_input("{}: holds no class labels (got {} {}, expected one integer a sample)", path, dtype_name(array.dtype),
               shape_text(array.shape));
  if (array.shape[0] != samples)
    fail_input("{}: does not fit the images (got {} labels, expected {})", path, array.shape[0], samples);
  std::vector<int64_t> labels(static_cast<size_t>(samples));
  array.read(0, samples, labels.data());
  return labels;
}

const IdxSplit& find_split(std::string_view name) {
  const auto* split =
      std::find_if(idx_splits.begin(), idx_splits.end(), [&](const IdxSplit& row) { return row.name == name; });
  if (split == idx_splits.end())
    fail_usage("--split: an IDX folder has no such part (got '{}', expected train or test){}", name,
               did_you_mean(name, {"train", "test"}));
  return *split;
}

}  // namespace

bool is_idx_folder(const std::string& path) {
  return std::filesystem::is_directory(path) &&
         std::any_of(idx_splits.begin(), idx_splits.end(),
                     [&](const IdxSplit& split) { return find_idx(path, split.prefix, "images").has_value(); });
}

DatasetPtr open_idx_folder(const std::string& path, const DataRequest& request) {
  const std::string& split = request.split;
  if (!request.labels.empty())
    fail_usage("--labels: the labels of an IDX folder are its label files (got '{}'); leave it out", request.labels);
  const IdxSplit& files = find_split(split);
  const auto images_path = find_idx(path, files.prefix, "images");
  if (!images_path)
    fail_usage("{}: has no split '{}' (expected the file {}-images-idx3-ubyte, plain or .gz); choose another --split",
               path, split, files.prefix);
  IdxArray images = read_images(*images_path);
  std::vector<int64_t> labels;
  if (has_labels(path)) {
    const auto labels_path = find_idx(path, files.prefix, "labels");
    if (!labels_path)
      fail_input("{}: the labels of split '{}' are missing (expected the file {}-labels-idx1-ubyte, plain or .gz)",
                 path, split, files.prefix);
    labels = read_labels(*labels_path, images.shape[0]);
  }
  return std::make_shared<IdxDataset>(*images_path, std::move(images), std::move(labels));
}

}  // namespace pare
