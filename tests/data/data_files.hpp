// Made data for the tests of this folder: IDX bytes by hand, temporary folders, and data sets in memory.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <zlib.h>

#include "src/core/error.hpp"
#include "src/data/dataset.hpp"

namespace pare::test {

// Removed with everything in it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "pare-data-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string path() const { return path_.string(); }
  std::string write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path_ / name, std::ios::binary) << bytes;
    return (path_ / name).string();
  }

 private:
  std::filesystem::path path_;
};

inline std::string big_endian(uint64_t value, int bytes) {
  std::string text;
  for (int i = bytes - 1; i >= 0; --i) text += static_cast<char>(value >> (8 * i));
  return text;
}

inline std::string idx_bytes(uint8_t type, const std::vector<uint32_t>& sizes, const std::string& elements) {
  std::string text{'\0', '\0', static_cast<char>(type), static_cast<char>(sizes.size())};
  for (const uint32_t size : sizes) text += big_endian(size, 4);
  return text + elements;
}

// 0, 1, 2 ... modulo 256.
inline std::string counting_bytes(size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += static_cast<char>(i);
  return text;
}

inline std::string gzip(const std::string& bytes) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY);
  std::string compressed(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(compressed.data());
  stream.avail_out = static_cast<uInt>(compressed.size());
  deflate(&stream, Z_FINISH);
  compressed.resize(stream.total_out);
  deflateEnd(&stream);
  return compressed;
}

// Sample i holds values 7*i, 7*i+1 ... modulo 256 and label i % classes; as uint8 in memory, or read as float.
class CountingDataset : public Dataset {
 public:
  CountingDataset(int64_t size, Shape shape, int64_t classes, DType type = DType::uint8)
      : fields_{{"counting", type, std::move(shape)}},
        size_(size),
        classes_(classes),
        elements_(element_count(sample_shape())) {
    for (int64_t i = 0; i < size; ++i)
      for (int64_t k = 0; k < elements_; ++k) values_.push_back(static_cast<uint8_t>(7 * i + k));
  }

  std::string name() const override { return "counting"; }
  std::string sample_name(int64_t index) const override { return fmt::format("counting: sample {}", index); }
  int64_t size() const override { return size_; }
  const std::vector<Field>& fields() const override { return fields_; }
  const std::byte* stored(size_t, int64_t index, std::vector<std::byte>& scratch) const override {
    if (element_type() == DType::uint8) return reinterpret_cast<const std::byte*>(values_.data() + index * elements_);
    scratch.resize(static_cast<size_t>(elements_) * sizeof(float));
    for (int64_t k = 0; k < elements_; ++k) reinterpret_cast<float*>(scratch.data())[k] = value(index, k);
    return scratch.data();
  }
  bool labelled() const override { return classes_ > 0; }
  int64_t label(int64_t index) const override { return index % classes_; }
  int64_t class_count() const override { return classes_; }

  float value(int64_t index, int64_t element) const {
    return static_cast<float>(values_[static_cast<size_t>(index * elements_ + element)]);
  }

 private:
  std::vector<Field> fields_;
  int64_t size_;
  int64_t classes_;
  int64_t elements_;
  std::vector<uint8_t> values_;
};

inline std::shared_ptr<CountingDataset> counting(int64_t size, Shape shape, int64_t classes,
                                                 DType type = DType::uint8) {
  return std::make_shared<CountingDataset>(size, std::move(shape), classes, type);
}

// The images [C,H,W] of another set with the channels last.
class Interleaved final : public Dataset {
 public:
  explicit Interleaved(DatasetPtr planes) : planes_(std::move(planes)), fields_(planes_->fields()) {
    const Shape shape = fields_[0].shape;
    fields_[0].shape = {shape[1], shape[2], shape[0]};
  }

  std::string name() const override { return planes_->name(); }
  std::string sample_name(int64_t index) const override { return planes_->sample_name(index); }
  int64_t size() const override { return planes_->size(); }
  const std::vector<Field>& fields() const override { return fields_; }
  const std::byte* stored(size_t field, int64_t index, std::vector<std::byte>& scratch) const override {
    std::vector<std::byte> own;
    const std::byte* plane = planes_->stored(field, index, own);
    const auto channels = static_cast<size_t>(fields_[0].shape[2]);
    const size_t elements = static_cast<size_t>(element_count(fields_[0].shape));
    scratch.resize(elements);
    for (size_t i = 0; i < elements; ++i) scratch[i] = plane[i % channels * (elements / channels) + i / channels];
    return scratch.data();
  }
  bool labelled() const override { return planes_->labelled(); }
  int64_t label(int64_t index) const override { return planes_->label(index); }
  int64_t class_count() const override { return planes_->class_count(); }

 private:
  DatasetPtr planes_;
  std::vector<Field> fields_;
};

struct Failure {
  ExitCode code = ExitCode::ok;
  std::string message;

  bool mentions(const std::string& text) const { return message.find(text) != std::string::npos; }
};

// The pare::Error that `body` ends with; code ok when it does not fail.
template <class Body>
Failure failure_of(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  return {};
}

}  // namespace pare::test
