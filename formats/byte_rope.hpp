// Bytes in pieces: what is written mostly aliases what was read, so nothing is copied before it reaches the file.
#pragma once

#include <string_view>
#include <vector>

#include "src/core/files.hpp"

namespace pare {

class ByteRope {
 public:
  // Appends bytes; their owner is kept alive.
  void append(Bytes piece);
  // Appends another rope's pieces.
  void append(const ByteRope& other);
  // Appends a copy of `text`.
  void append(std::string text) { append(Bytes::own(std::move(text))); }

  size_t size() const { return size_; }
  const std::vector<Bytes>& pieces() const { return pieces_; }
  void write_to(AtomicFile& file) const;
  // One contiguous buffer.
  Bytes flatten() const;

 private:
  std::vector<Bytes> pieces_;
  size_t size_ = 0;
};

}  // namespace pare
