// The HDF5 C library (serial, 1.10 or newer) behind errors of ours and identifiers that close themselves. For
// formats/hdf5_*.cpp only.
#pragma once

#include <mutex>
#include <string>
#include <utility>

#include <hdf5.h>

#include "src/core/error.hpp"

namespace pare::hdf5 {

// The library is not thread-safe: whoever calls it holds this lock. Takes care that the library is set up.
std::unique_lock<std::recursive_mutex> lock();

// The library's innermost reason for its last failure, in one line.
std::string reason();

// `result` of a library call that reads, unless it failed: then throws (exit 3) `what: reason`.
template <class Result>
Result read_ok(Result result, const std::string& what) {
  if (result < 0) fail_input("{}: cannot be read ({})", what, reason());
  return result;
}

// `result` of a library call that writes, unless it failed: then throws (exit 1) `what: reason`.
template <class Result>
Result write_ok(Result result, const std::string& what) {
  if (result < 0) fail_run("{}: cannot be written ({})", what, reason());
  return result;
}

// Owns an identifier of any kind.
class Id {
 public:
  explicit Id(hid_t id) : id_(id) {}
  ~Id() { close(); }
  Id(Id&& other) noexcept : id_(std::exchange(other.id_, -1)) {}
  Id& operator=(Id&& other) noexcept {
    std::swap(id_, other.id_);
    return *this;
  }
  hid_t get() const { return id_; }
  hid_t release() { return std::exchange(id_, -1); }

 private:
  void close() {
    if (id_ < 0) return;
    const auto guard = lock();
    H5Idec_ref(id_);
  }
  hid_t id_;
};

// Bytes of an element of `dataset` times their number; throws (exit 3) when the file cannot hold as many, deflated or
// not.
size_t checked_size(const Id& dataset, const Id& space, const std::string& what);

// A creation list without timestamps.
Id dataset_settings(H5D_layout_t layout);

// Creates a one-dimensional dataset of `count` elements that are `bytes` in memory order, which is the file's: deflated
// as one chunk where that is smaller; else, where they are few, inside the object's header, which has a checksum.
// `scalar`: a single element that is no array unless it is deflated.
void write_dataset(const Id& group, const std::string& name, const Id& type, hsize_t count, std::string_view bytes,
                   bool scalar = false);

// For the creation list of a group or file: room for that many objects, no timestamps.
void set_links(const Id& settings, unsigned links);

// Data up to this size is kept compact; the library's own limit is 64 KiB with everything else in the header.
inline constexpr size_t compact_limit = 32 * 1024;

}  // namespace pare::hdf5
