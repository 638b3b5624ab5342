// What teachers said about samples, on disk: rows of bytes by the hash of a sample, shared between runs.
//
// FOLDER/KEY/NAME.h5 are segments, written once, complete, and never changed; NAME is the hash of the content. So
// processes share a folder without locks. A segment holds the attributes `format`, `key`, `layout` and `sha256` (of
// layout and data), and the datasets `samples` (16 bytes a sample) and `outputs` (row_bytes a sample).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "src/core/files.hpp"

namespace pare {

// 128 bits that stand for a sample; equal keys are taken as equal samples.
struct SampleKey {
  uint64_t low = 0;
  uint64_t high = 0;

  bool operator==(const SampleKey&) const = default;
};

class TeacherStore {
 public:
  using Warn = std::function<void(const std::string&)>;

  // Reads the segments of `key` under `folder`, which is made when it is not there (exit 1 when it cannot be). Segments
  // that are damaged or not of this format are left out with a warning. Many small segments become one.
  TeacherStore(const std::string& folder, std::string key, Warn warn);

  // What the rows are made of: any text, equal for all segments. Empty as long as there are no rows.
  const std::string& layout() const { return layout_; }
  size_t row_bytes() const { return row_bytes_; }
  // Only while there are no rows.
  void set_layout(std::string layout, size_t row_bytes);

  int64_t size() const { return static_cast<int64_t>(keys_.size()); }
  // The row of a sample, or -1.
  int64_t find(SampleKey key) const;
  // A zero-filled row for a sample that has none.
  int64_t add(SampleKey key);
  // Valid until the next add().
  std::byte* row(int64_t index) { return rows_.data() + static_cast<size_t>(index) * row_bytes_; }

  // Writes the rows that were added since the last time as a segment. Errors of the file system become one warning: the
  // rows stay in memory, and nothing is written any more.
  void save();

 private:
  struct KeyHash {
    size_t operator()(const SampleKey& key) const { return key.low; }
  };

  std::vector<std::string> read_segments();
  void read_segment(const std::string& path);
  void write_segment(size_t first, size_t end);

  std::string folder_;
  std::string key_;
  Warn warn_;
  std::string layout_;
  size_t row_bytes_ = 0;
  std::vector<SampleKey> keys_;  // by row
  std::vector<std::byte> rows_;
  std::unordered_map<SampleKey, int64_t, KeyHash> index_;
  size_t saved_ = 0;  // rows that are on disk
  bool writable_ = true;
};

}  // namespace pare
