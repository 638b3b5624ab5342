// HDF5 files as far as pare uses them: groups, attributes, texts, byte blobs and compound tables. A file is built in
// memory, so that it can be written like any other: HDF5 1.10 crashes when the disk is full while it writes itself.
// Calls are serialised by a lock. Every function that reads throws exit 3 naming the object when it is missing, of
// another kind or damaged.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "formats/byte_rope.hpp"
#include "formats/hdf5_table.hpp"
#include "src/core/files.hpp"

namespace pare {

namespace hdf5 {
class Id;
}

// A group of an open file; copies refer to the same group. Object names may be paths ("tensors/data").
class Hdf5Group {
 public:
  explicit Hdf5Group(std::shared_ptr<const hdf5::Id> id) : id_(std::move(id)) {}

  bool has(const std::string& name) const;
  bool has_attribute(const std::string& name) const;
  std::string attribute(const std::string& name) const;
  int64_t integer_attribute(const std::string& name) const;
  // A one-dimensional dataset of bytes.
  Bytes read_bytes(const std::string& name) const;
  // A dataset of one fixed-length text.
  std::string read_text(const std::string& name) const;
  // A one-dimensional dataset of a compound type.
  Hdf5Table read_table(const std::string& name) const;

  // `links`: how many objects the group will hold; more is possible, but takes more bytes.
  Hdf5Group create_group(const std::string& name, unsigned links);
  // Texts end at their last byte that is not NUL.
  void set_attribute(const std::string& name, const std::string& text);
  void set_attribute(const std::string& name, int64_t value);
  void write_bytes(const std::string& name, const ByteRope& bytes);
  // Deflated (HDF5's own filter) where that is smaller; so are texts and tables.
  void write_deflated(const std::string& name, const Bytes& bytes);
  void write_text(const std::string& name, const std::string& text);
  void write_table(const std::string& name, const Hdf5Table& table);

 private:
  std::shared_ptr<const hdf5::Id> id_;
};

class Hdf5File {
 public:
  // Opens for reading. Errors: missing (exit 2), not HDF5 or truncated (exit 3).
  static Hdf5File open(const std::string& path);
  // A new file in memory, in the newest layout that HDF5 1.10 reads, without timestamps: equal content gives equal
  // bytes. `links`: how many objects the root group will hold.
  static Hdf5File create(unsigned links);
  ~Hdf5File();
  Hdf5File(Hdf5File&&) noexcept;

  // Stays usable after the Hdf5File is gone, but not after write_to().
  Hdf5Group root() const { return root_; }
  // Completes a new file and appends its bytes to `file`; to be called once.
  void write_to(AtomicFile& file);

 private:
  struct Image;
  Hdf5File(std::unique_ptr<Image> image, std::unique_ptr<hdf5::Id> id, Hdf5Group root);

  std::unique_ptr<Image> image_;  // of a new file
  std::unique_ptr<hdf5::Id> id_;
  Hdf5Group root_;
};

}  // namespace pare
