#include "formats/byte_rope.hpp"

#include <cstring>

namespace pare {

void ByteRope::append(Bytes piece) {
  if (piece.size() == 0) return;
  size_ += piece.size();
  pieces_.push_back(std::move(piece));
}

void ByteRope::append(const ByteRope& other) {
  pieces_.insert(pieces_.end(), other.pieces_.begin(), other.pieces_.end());
  size_ += other.size_;
}

void ByteRope::write_to(AtomicFile& file) const {
  for (const Bytes& piece : pieces_) file.write(piece.text());
}

Bytes ByteRope::flatten() const {
  if (pieces_.size() == 1) return pieces_.front();
  std::byte* target = nullptr;
  Bytes whole = Bytes::allocate(size_, &target);
  for (const Bytes& piece : pieces_) {
    std::memcpy(target, piece.data(), piece.size());
    target += piece.size();
  }
  return whole;
}

}  // namespace pare
