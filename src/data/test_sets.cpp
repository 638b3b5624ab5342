#include "src/data/test_sets.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <utility>
#include <vector>

#include "formats/onnx_tensor.hpp"
#include "formats/protobuf.hpp"
#include "src/core/error.hpp"
#include "src/data/values.hpp"

namespace pare {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view set_prefix = "test_data_set_";

bool is_set(const fs::path& folder) { return fs::exists(folder / "input_0.pb"); }

// The folders of the sets, by their numbers.
std::vector<std::string> sets_of(const std::string& path) {
  if (is_set(path)) return {path};
  std::vector<std::pair<int64_t, std::string>> found;
  std::error_code unreadable;
  for (const auto& entry : fs::directory_iterator(path, unreadable)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(set_prefix) || !is_set(entry.path())) continue;
    int64_t number = 0;
    std::from_chars(name.data() + set_prefix.size(), name.data() + name.size(), number);
    found.emplace_back(number, entry.path().string());
  }
  if (unreadable) fail_run("{}: cannot be listed ({}); check its permissions", path, unreadable.message());
  std::sort(found.begin(), found.end());
  std::vector<std::string> sets;
  for (auto& [number, folder] : found) sets.push_back(std::move(folder));
  return sets;
}

NamedTensor read_proto(const std::string& path) {
  const Bytes bytes = map_file(path);
  return with_context(path, [&] {
    try {
      NamedTensor tensor = read_tensor(bytes, bytes.text(), fs::path(path).parent_path().string());
      if (!is_numeric(tensor.tensor.dtype))
        fail_input("is no tensor of numbers (got {})", dtype_name(tensor.tensor.dtype));
      if (static_cast<int64_t>(tensor.tensor.data.size()) != tensor.tensor.byte_size())
        fail_input("holds {} bytes, expected {} for its shape {}", tensor.tensor.data.size(), tensor.tensor.byte_size(),
                   shape_text(tensor.tensor.shape));
      return tensor;
    } catch (const protozero::exception& error) {
      fail_input("is no TensorProto ({})", error.what());
    }
  });
}

// All `<kind>_N.pb` of the sets, an array a number.
struct Arrays {
  std::vector<Field> fields;
  std::vector<std::vector<Tensor>> tensors;  // by field, then by set

  Arrays(const std::vector<std::string>& sets, const std::string& kind) {
    for (size_t number = 0; fs::exists(file(sets[0], kind, number)); ++number) {
      tensors.emplace_back();
      for (const std::string& set : sets) {
        const std::string path = file(set, kind, number);
        NamedTensor read = read_proto(path);
        if (set == sets[0]) {
          const std::string own = fmt::format("{}_{}", kind, number);
          fields.push_back({read.name.empty() ? own : read.name, read.tensor.dtype, read.tensor.shape});
        }
        const Field& field = fields.back();
        if (read.tensor.dtype != field.dtype || read.tensor.shape != field.shape)
          fail_input("{}: differs from the first set (got {} {}, expected {} {})", path, dtype_name(read.tensor.dtype),
                     shape_text(read.tensor.shape), dtype_name(field.dtype), shape_text(field.shape));
        tensors.back().push_back(std::move(read.tensor));
      }
    }
  }

  static std::string file(const std::string& set, const std::string& kind, size_t number) {
    return fmt::format("{}/{}_{}.pb", set, kind, number);
  }
  const std::byte* stored(size_t field, int64_t index) const {
    return tensors[field][static_cast<size_t>(index)].data.data();
  }
};

class TestSets final : public Dataset {
 public:
  TestSets(std::string path, std::vector<std::string> sets)
      : path_(std::move(path)), sets_(std::move(sets)), inputs_(sets_, "input"), outputs_(sets_, "output") {}

  std::string name() const override { return path_; }
  std::string sample_name(int64_t index) const override { return sets_[static_cast<size_t>(index)]; }
  int64_t size() const override { return static_cast<int64_t>(sets_.size()); }
  const std::vector<Field>& fields() const override { return inputs_.fields; }
  const std::byte* stored(size_t field, int64_t index, std::vector<std::byte>&) const override {
    return inputs_.stored(field, index);
  }
  const std::vector<Field>& targets() const override { return outputs_.fields; }
  const std::byte* stored_target(size_t target, int64_t index, std::vector<std::byte>&) const override {
    return outputs_.stored(target, index);
  }
  bool labelled() const override { return false; }
  int64_t label(int64_t index) const override { fail_run("{}: has no label", sample_name(index)); }
  int64_t class_count() const override { return 0; }

 private:
  std::string path_;
  std::vector<std::string> sets_;
  Arrays inputs_, outputs_;
};

}  // namespace

bool is_test_sets(const std::string& path) { return fs::is_directory(path) && !sets_of(path).empty(); }

DatasetPtr open_test_sets(const std::string& path, const DataRequest& request) {
  if (request.only_split) fail_usage("--split {}: {} has no parts", request.split, path);
  if (!request.labels.empty())
    fail_usage("--labels: the outputs of test data sets are their output_N.pb (got '{}'); leave it out",
               request.labels);
  return std::make_shared<TestSets>(path, sets_of(path));
}

}  // namespace pare
