#include "src/data/gzip.hpp"

#include <algorithm>
#include <utility>

#include <zlib.h>

#include "src/core/error.hpp"

namespace pare {

struct GzipReader::State {
  z_stream stream{};
  size_t fed = 0;  // bytes of the file given to zlib so far
  bool ended = false;
};

namespace {

constexpr size_t largest_step = size_t{1} << 30;  // zlib counts in unsigned int

Bytef* bytes_of(const std::byte* bytes) { return reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes)); }

}  // namespace

bool is_gzip(std::span<const std::byte> bytes) {
  return bytes.size() >= 2 && bytes[0] == std::byte{0x1f} && bytes[1] == std::byte{0x8b};
}

GzipReader::GzipReader(std::string path, std::span<const std::byte> compressed)
    : path_(std::move(path)), compressed_(compressed), state_(std::make_unique<State>()) {
  constexpr int gzip_only = 16;
  if (inflateInit2(&state_->stream, MAX_WBITS + gzip_only) != Z_OK)
    fail_run("{}: zlib cannot start; free some memory", path_);
}

GzipReader::~GzipReader() { inflateEnd(&state_->stream); }

size_t GzipReader::read(std::byte* target, size_t size) {
  z_stream& stream = state_->stream;
  size_t done = 0;
  while (done < size && !state_->ended) {
    const size_t step = std::min(size - done, largest_step);
    stream.next_out = bytes_of(target + done);
    stream.avail_out = static_cast<uInt>(step);
    inflate_some();
    done += step - stream.avail_out;
  }
  return done;
}

void GzipReader::inflate_some() {
  z_stream& stream = state_->stream;
  if (stream.avail_in == 0) {
    const size_t step = std::min(compressed_.size() - state_->fed, largest_step);
    stream.next_in = bytes_of(compressed_.data() + state_->fed);
    stream.avail_in = static_cast<uInt>(step);
    state_->fed += step;
  }
  const int result = inflate(&stream, Z_NO_FLUSH);
  const size_t offset = state_->fed - stream.avail_in;
  if (result == Z_STREAM_END) {
    if (offset == compressed_.size()) state_->ended = true;
    else inflateReset(&stream);
  } else if (result == Z_BUF_ERROR) {
    fail_input("{}: the gzip file is truncated (it ends at offset {} in the middle of its data); copy it again", path_,
               offset);
  } else if (result != Z_OK) {
    fail_input("{}: the gzip file is damaged at offset {} ({}); copy it again", path_, offset,
               stream.msg != nullptr ? stream.msg : "zlib gives no reason");
  }
}

}  // namespace pare
