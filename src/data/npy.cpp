#include "src/data/npy.hpp"

#include <array>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "src/core/error.hpp"
#include "src/data/array_data.hpp"
#include "src/data/values.hpp"

namespace pare {
namespace {

constexpr std::string_view magic = "\x93NUMPY";

struct NumpyType {
  std::string_view code;
  DType dtype;
};

constexpr std::array numpy_types{
    NumpyType{"b1", DType::boolean}, NumpyType{"i1", DType::int8},    NumpyType{"i2", DType::int16},
    NumpyType{"i4", DType::int32},   NumpyType{"i8", DType::int64},   NumpyType{"u1", DType::uint8},
    NumpyType{"u2", DType::uint16},  NumpyType{"u4", DType::uint32},  NumpyType{"u8", DType::uint64},
    NumpyType{"f2", DType::float16}, NumpyType{"f4", DType::float32}, NumpyType{"f8", DType::float64}};

struct NpyHeader {
  DType dtype = DType::undefined;
  bool big_endian = false;
  bool fortran = false;
  Shape shape;
};

// The header is a literal of a Python dictionary with three keys, in any order.
class NpyHeaderReader {
 public:
  NpyHeaderReader(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  NpyHeader read() {
    NpyHeader header;
    bool descr = false, order = false, shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string_view key = text_literal();
      expect(':');
      if (key == "descr") {
        descr = true;
        set_type(text_literal(), header);
      } else if (key == "fortran_order") {
        order = true;
        header.fortran = boolean();
      } else if (key == "shape") {
        shape = true;
        header.shape = sizes();
      } else {
        fail(fmt::format("unknown key '{}'", key));
      }
      if (!accept(',') && peek() != '}') fail("no comma between two keys");
    }
    if (!descr || !order || !shape) fail("a key is missing");
    return header;
  }

 private:
  [[noreturn]] void fail(const std::string& reason) const {
    fail_input("{}: bad .npy header ({} at character {})", where_, reason, at_);
  }
  char peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool accept(char wanted) {
    if (peek() != wanted) return false;
    ++at_;
    return true;
  }
  void expect(char wanted) {
    if (!accept(wanted)) fail(fmt::format("expected '{}'", wanted));
  }
  std::string_view text_literal() {
    const char quote = peek();
    if (quote == '[') fail("structured types are not supported");
    if (quote != '\'' && quote != '"') fail("expected a text");
    const size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) fail("a text does not end");
    const std::string_view literal = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return literal;
  }
  bool boolean() {
    peek();
    for (const auto& [word, value] : {std::pair<std::string_view, bool>{"True", true}, {"False", false}})
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        return value;
      }
    fail("expected True or False");
  }
  Shape sizes() {
    Shape shape;
    expect('(');
    while (!accept(')')) {
      int64_t size = 0;
      peek();
      const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), size);
      if (error != std::errc{} || size < 0) fail("expected a size");
      at_ = static_cast<size_t>(end - text_.data());
      shape.push_back(size);
      if (!accept(',') && peek() != ')') fail("expected a comma or a parenthesis");
    }
    return shape;
  }
  void set_type(std::string_view code, NpyHeader& header) const {
    if (!code.empty() && std::string_view("<>|=").find(code[0]) != std::string_view::npos) {
      header.big_endian = code[0] == '>';
      code.remove_prefix(1);
    }
    for (const NumpyType& type : numpy_types)
      if (type.code == code) header.dtype = type.dtype;
    if (header.dtype == DType::undefined)
      fail_input("{}: arrays of NumPy type '{}' are not supported (expected bool, integers or floats of up to 64 bits)",
                 where_, code);
  }

  std::string_view text_;
  const std::string& where_;
  size_t at_ = 0;
};

// The elements in C order.
Bytes from_fortran(const Bytes& data, const Shape& shape, size_t element) {
  std::byte* target = nullptr;
  Bytes result = Bytes::allocate(data.size(), &target);
  const size_t count = data.size() / element;
  std::vector<size_t> position(shape.size(), 0), stride(shape.size(), 1);
  for (size_t axis = 1; axis < shape.size(); ++axis)
    stride[axis] = stride[axis - 1] * static_cast<size_t>(shape[axis - 1]);
  size_t source = 0;
  for (size_t i = 0; i < count; ++i) {
    std::memcpy(target + i * element, data.data() + source * element, element);
    for (size_t axis = shape.size(); axis-- > 0;) {
      source += stride[axis];
      if (++position[axis] < static_cast<size_t>(shape[axis])) break;
      source -= stride[axis] * position[axis];
      position[axis] = 0;
    }
  }
  return result;
}

Bytes swapped(const Bytes& data, size_t element) {
  std::byte* target = nullptr;
  Bytes result = Bytes::allocate(data.size(), &target);
  if (data.size() > 0) std::memcpy(target, data.data(), data.size());
  swap_bytes({target, data.size()}, element);
  return result;
}

}  // namespace

Tensor read_npy(const Bytes& bytes, const std::string& where) {
  const std::string_view text = bytes.text();
  if (text.size() < 10 || !text.starts_with(magic)) fail_input("{}: not a .npy array (bad magic at offset 0)", where);
  const auto version = static_cast<uint8_t>(text[6]);
  if (version < 1 || version > 3) fail_input("{}: .npy version {} is unknown (expected 1 to 3)", where, version);
  const size_t length_bytes = version == 1 ? 2 : 4;
  if (text.size() < 8 + length_bytes) fail_input("{}: the .npy header is cut off at offset {}", where, text.size());
  size_t length = 0;
  for (size_t i = 0; i < length_bytes; ++i) length |= size_t{static_cast<uint8_t>(text[8 + i])} << (8 * i);
  const size_t start = 8 + length_bytes + length;
  if (start > text.size())
    fail_input("{}: the .npy header is cut off (got {} bytes, expected {})", where, text.size(), start);
  const NpyHeader header = NpyHeaderReader(text.substr(8 + length_bytes, length), where).read();
  const auto element = static_cast<size_t>(dtype_bits(header.dtype) / 8);
  const int64_t elements = with_context(where, [&] { return element_count(header.shape); });
  const size_t expected = static_cast<size_t>(elements) * element;
  if (text.size() - start != expected)
    fail_input("{}: does not hold the array of its header, {} {} (got {} bytes, expected {}); copy it again", where,
               dtype_name(header.dtype), shape_text(header.shape), text.size() - start, expected);
  Tensor tensor{header.dtype, header.shape, bytes.part(text.substr(start))};
  if (header.big_endian && element > 1) tensor.data = swapped(tensor.data, element);
  if (header.fortran && header.shape.size() > 1) tensor.data = from_fortran(tensor.data, header.shape, element);
  return tensor;
}

bool is_npy(const std::string& path) {
  std::array<char, magic.size()> start{};
  std::ifstream(path, std::ios::binary).read(start.data(), start.size());
  return std::string_view(start.data(), start.size()) == magic;
}

DatasetPtr open_npy(const std::string& path, const DataRequest& request) {
  return dataset_of_arrays(path, {{std::filesystem::path(path).stem().string(), read_npy(map_file(path), path)}},
                           request);
}

}  // namespace pare
