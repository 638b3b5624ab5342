// Reads gzip (RFC 1952) from memory, members one after the other as one stream.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace pare {

// True when the bytes start with gzip's magic.
bool is_gzip(std::span<const std::byte> bytes);

class GzipReader {
 public:
  // `path` names the file in messages; `compressed` must outlive the reader.
  GzipReader(std::string path, std::span<const std::byte> compressed);
  ~GzipReader();
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;

  // Writes the next `size` bytes to `target` and returns how many there were: fewer only at the end of the stream.
  // Throws (exit 3) when the stream is cut off or damaged, with the offset in the compressed file.
  size_t read(std::byte* target, size_t size);

 private:
  struct State;

  void inflate_some();

  std::string path_;
  std::span<const std::byte> compressed_;
  std::unique_ptr<State> state_;
};

}  // namespace pare
