// Tensor data in files beside the model (ONNX "External Data").
#pragma once

#include <string>

#include "formats/byte_rope.hpp"

namespace pare {

// The external_data entries of a TensorProto.
struct ExternalReference {
  std::string location;  // relative to the model's folder
  int64_t offset = 0;
  int64_t length = -1;   // -1: as many bytes as the tensor needs
  std::string checksum;  // SHA-1 of the whole file, hexadecimal; empty: not given
};

// Reads one entry (a StringStringEntryProto) into `reference`. Throws (exit 3) when a number is none.
void read_external_entry(std::string_view message, ExternalReference& reference);

// Maps `size` bytes from the file that the reference names in `folder`. Throws exit 3 when the location is absolute,
// leaves the folder (also by symbolic links), is no regular file or too short, or the checksum differs; exit 2 when it
// does not exist.
Bytes external_bytes(const ExternalReference& reference, int64_t size, const std::string& folder);

// Collects data that a model refers to.
class ExternalData {
 public:
  // `location` is the file's name in the model's folder.
  explicit ExternalData(std::string location) : location_(std::move(location)) {}

  // Adds data, aligned so that readers can map it. The reference is where it went.
  ExternalReference add(const Bytes& data);
  const ByteRope& bytes() const { return bytes_; }

 private:
  std::string location_;
  ByteRope bytes_;
};

}  // namespace pare
