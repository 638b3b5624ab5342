#include "src/data/idx.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <memory>
#include <string_view>

#include "src/core/error.hpp"
#include "src/data/gzip.hpp"

namespace pare {
namespace {

struct IdxType {
  uint8_t code;
  DType dtype;
};

constexpr std::array<IdxType, 6> idx_types{{{0x08, DType::uint8},
                                            {0x09, DType::int8},
                                            {0x0B, DType::int16},
                                            {0x0C, DType::int32},
                                            {0x0D, DType::float32},
                                            {0x0E, DType::float64}}};

uint32_t big_endian_word(const std::byte* bytes) {
  uint32_t word = 0;
  for (int i = 0; i < 4; ++i) word = word << 8 | std::to_integer<uint32_t>(bytes[i]);
  return word;
}

// The file's bytes in order, whether they are stored plain or as gzip.
class IdxSource {
 public:
  explicit IdxSource(const std::string& path) : path_(path), file_(map_file(path)) {
    if (is_gzip(file_.span())) gzip_ = std::make_unique<GzipReader>(path, file_.span());
  }

  // The next `size` bytes. Throws (exit 3) when the file has fewer, before memory is taken for what it cannot hold.
  Bytes take(uint64_t size) {
    constexpr uint64_t most_per_compressed_byte = 1032;  // the limit of deflate: zlib's technical notes
    const uint64_t most = gzip_ ? (file_.size() + 1) * most_per_compressed_byte : file_.size();
    if (size > most - offset_) truncated(most - offset_, size);
    if (!gzip_) {
      offset_ += size;
      return file_.part(file_.text().substr(offset_ - size, size));
    }
    std::byte* target = nullptr;
    Bytes part = Bytes::allocate(size, &target);
    const size_t got = gzip_->read(target, size);
    if (got != size) truncated(got, size);
    offset_ += size;
    return part;
  }

  void expect_end() {
    std::byte extra{};
    const bool more = gzip_ ? gzip_->read(&extra, 1) != 0 : offset_ != file_.size();
    if (more)
      fail_input("{}: bytes follow the array at offset {} (expected the end of the file by its header); copy it again",
                 path_, offset_);
  }

 private:
  [[noreturn]] void truncated(uint64_t left, uint64_t expected) const {
    fail_input(
        "{}: the IDX file is truncated (got at most {} bytes from offset {}, expected {} by its header); copy it again",
        path_, left, offset_, expected);
  }

  std::string path_;
  Bytes file_;
  std::unique_ptr<GzipReader> gzip_;
  uint64_t offset_ = 0;
};

template <class T>
T big_endian_value(const std::byte* bytes) {
  std::array<std::byte, sizeof(T)> native;
  std::memcpy(native.data(), bytes, sizeof(T));
  if constexpr (std::endian::native == std::endian::little) std::reverse(native.begin(), native.end());
  return std::bit_cast<T>(native);
}

template <class T, class Out>
void convert(const std::byte* bytes, int64_t count, Out* values) {
  for (int64_t i = 0; i < count; ++i) values[i] = static_cast<Out>(big_endian_value<T>(bytes + i * int64_t{sizeof(T)}));
}

template <class Out>
void convert_elements(const IdxArray& array, int64_t first, int64_t count, Out* values) {
  const std::byte* bytes = array.data.data() + first * (dtype_bits(array.dtype) / 8);
  switch (array.dtype) {
    case DType::uint8:
      return convert<uint8_t>(bytes, count, values);
    case DType::int8:
      return convert<int8_t>(bytes, count, values);
    case DType::int16:
      return convert<int16_t>(bytes, count, values);
    case DType::int32:
      return convert<int32_t>(bytes, count, values);
    case DType::float32:
      return convert<float>(bytes, count, values);
    default:
      return convert<double>(bytes, count, values);
  }
}

}  // namespace

void IdxArray::read(int64_t first, int64_t count, float* values) const {
  convert_elements(*this, first, count, values);
}
void IdxArray::read(int64_t first, int64_t count, int64_t* values) const {
  convert_elements(*this, first, count, values);
}

IdxArray read_idx(const std::string& path) {
  IdxSource source(path);
  const Bytes magic = source.take(4);
  const auto code = std::to_integer<uint8_t>(magic.span()[2]);
  const auto rank = std::to_integer<uint64_t>(magic.span()[3]);
  const auto* type =
      std::find_if(idx_types.begin(), idx_types.end(), [&](const IdxType& row) { return row.code == code; });
  if (magic.text().substr(0, 2) != std::string_view("\0\0", 2) || type == idx_types.end() || rank == 0)
    fail_input(
        "{}: not an IDX file (got magic {:08x} at offset 0, expected 0000ttdd with type tt 08, 09, 0b, 0c, 0d or 0e "
        "and "
        "dd dimensions); give an IDX file",
        path, big_endian_word(magic.data()));
  IdxArray array{type->dtype, {}, {}};
  const Bytes sizes = source.take(4 * rank);
  for (uint64_t axis = 0; axis < rank; ++axis) array.shape.push_back(big_endian_word(sizes.data() + 4 * axis));
  const int64_t elements = with_context(path, [&] { return element_count(array.shape); });
  constexpr int64_t no_file_holds = int64_t{1} << 60;  // keeps the product below 2^64; take() refuses it
  array.data = source.take(static_cast<uint64_t>(std::min(elements, no_file_holds)) *
                           static_cast<uint64_t>(dtype_bits(array.dtype) / 8));
  source.expect_end();
  return array;
}

}  // namespace pare
