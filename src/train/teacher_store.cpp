#include "src/train/teacher_store.hpp"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "formats/hdf5_file.hpp"
#include "src/core/error.hpp"

namespace pare {
namespace {

namespace fs = std::filesystem;

constexpr const char* format_name = "pare-teacher-cache-1";
constexpr size_t most_segments = 16;

std::span<const std::byte> bytes_of(const std::vector<SampleKey>& keys, size_t first, size_t end) {
  return std::as_bytes(std::span(keys).subspan(first, end - first));
}

std::string digest(const std::string& layout, std::span<const std::byte> samples, std::span<const std::byte> outputs) {
  const std::string all = layout + sha256_hex(samples) + sha256_hex(outputs);
  return sha256_hex(std::as_bytes(std::span(all)));
}

ByteRope rope_of(std::span<const std::byte> bytes) {
  ByteRope rope;
  rope.append(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  return rope;
}

std::vector<std::string> segments_in(const std::string& folder) {
  std::vector<std::string> paths;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".h5") paths.push_back(entry.path().string());
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace

TeacherStore::TeacherStore(const std::string& folder, std::string key, Warn warn)
    : folder_((fs::path(folder) / key).string()), key_(std::move(key)), warn_(std::move(warn)) {
  with_context("--teacher-cache", [&] { make_folder(folder_); });
  const std::vector<std::string> read = read_segments();
  saved_ = keys_.size();
  if (read.size() <= most_segments) return;
  saved_ = 0;
  save();
  if (!writable_) return;
  std::error_code ignored;
  for (const std::string& path : read) fs::remove(path, ignored);
}

std::vector<std::string> TeacherStore::read_segments() {
  std::vector<std::string> read;
  // Another process may be making one segment of many: what has vanished is then in a segment that a second look finds.
  bool vanished = true;
  for (int look = 0; vanished && look < 2; ++look) {
    vanished = false;
    for (const std::string& path : segments_in(folder_)) {
      if (std::find(read.begin(), read.end(), path) != read.end()) continue;
      try {
        read_segment(path);
        read.push_back(path);
      } catch (const Error& error) {
        if (fs::exists(path)) warn_(fmt::format("--teacher-cache: {}: left out: {}", path, error.what()));
        else vanished = true;
      }
    }
  }
  return read;
}

void TeacherStore::read_segment(const std::string& path) {
  const Hdf5Group root = Hdf5File::open(path).root();
  if (!root.has_attribute("format") || root.attribute("format") != format_name || root.attribute("key") != key_)
    fail_input("is no segment of this cache");
  const std::string layout = root.attribute("layout");
  const Bytes samples = root.read_bytes("samples");
  const Bytes outputs = root.read_bytes("outputs");
  if (digest(layout, samples.span(), outputs.span()) != root.attribute("sha256")) fail_input("is damaged");
  const size_t count = samples.size() / sizeof(SampleKey);
  if (count == 0 || samples.size() % sizeof(SampleKey) != 0 || outputs.size() % count != 0)
    fail_input("has {} bytes of outputs for {} bytes of samples", outputs.size(), samples.size());
  if (!layout_.empty() && (layout != layout_ || outputs.size() / count != row_bytes_))
    fail_input("holds other outputs (got {}, expected {})", layout, layout_);
  if (layout_.empty()) set_layout(layout, outputs.size() / count);
  for (size_t i = 0; i < count; ++i) {
    SampleKey key;
    std::memcpy(&key, samples.data() + i * sizeof key, sizeof key);
    if (find(key) >= 0) continue;
    std::memcpy(row(add(key)), outputs.data() + i * row_bytes_, row_bytes_);
  }
}

void TeacherStore::set_layout(std::string layout, size_t row_bytes) {
  layout_ = std::move(layout);
  row_bytes_ = row_bytes;
}

int64_t TeacherStore::find(SampleKey key) const {
  const auto found = index_.find(key);
  return found == index_.end() ? -1 : found->second;
}

int64_t TeacherStore::add(SampleKey key) {
  const int64_t index = size();
  index_.emplace(key, index);
  keys_.push_back(key);
  rows_.resize(rows_.size() + row_bytes_);
  return index;
}

void TeacherStore::write_segment(size_t first, size_t end) {
  const std::span<const std::byte> samples = bytes_of(keys_, first, end);
  const std::span<const std::byte> outputs = std::span(rows_).subspan(first * row_bytes_, (end - first) * row_bytes_);
  const std::string name = digest(layout_, samples, outputs);
  Hdf5File file = Hdf5File::create(2);
  Hdf5Group root = file.root();
  root.set_attribute("format", format_name);
  root.set_attribute("key", key_);
  root.set_attribute("layout", layout_);
  root.set_attribute("sha256", name);
  root.write_bytes("samples", rope_of(samples));
  root.write_bytes("outputs", rope_of(outputs));
  AtomicFile target((fs::path(folder_) / (name.substr(0, 32) + ".h5")).string());
  file.write_to(target);
  target.commit();
}

void TeacherStore::save() {
  if (!writable_ || saved_ == keys_.size()) return;
  try {
    write_segment(saved_, keys_.size());
    saved_ = keys_.size();
  } catch (const Error& error) {
    writable_ = false;
    warn_(fmt::format("--teacher-cache: {}; the outputs are kept in memory alone", error.what()));
  }
}

}  // namespace pare
