#include "formats/hdf5_tensors.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "formats/tensor_codes.hpp"
#include "kernels/bitmask.hpp"
#include "src/core/error.hpp"

namespace pare {
namespace {

// Bytes of the SHA-256 that a row keeps. They find the damaged tensor; the whole file is vouched for by an untruncated
// hash.
constexpr size_t hash_bytes = 4;
constexpr size_t most_hash_bytes = 32;
constexpr int64_t no_dimension = -1;

std::vector<int64_t> hash_of(const Bytes& bytes, size_t size = hash_bytes) {
  const std::string hex = sha256_hex(bytes.span());
  std::vector<int64_t> hash(size);
  for (size_t i = 0; i < size; ++i) std::from_chars(hex.data() + 2 * i, hex.data() + 2 * i + 2, hash[i], 16);
  return hash;
}

// Bytes an element takes where elements can be masked one by one; 0 for other types.
int maskable_element(DType dtype) {
  const int size = dtype_bits(dtype) / 8;
  return dtype_bits(dtype) % 8 == 0 && size <= 8 ? size : 0;
}

// The bytes at an address that suits elements of any type.
Bytes aligned(const Bytes& bytes) {
  if (reinterpret_cast<uintptr_t>(bytes.data()) % 8 == 0) return bytes;
  std::byte* target = nullptr;
  Bytes copy = Bytes::allocate(bytes.size(), &target);
  std::memcpy(target, bytes.data(), bytes.size());
  return copy;
}

const uint8_t* as_bits(const Bytes& bytes) { return reinterpret_cast<const uint8_t*>(bytes.data()); }

Bytes slice(const Bytes& bytes, size_t offset, size_t size) { return bytes.part(bytes.text().substr(offset, size)); }

EncodedTensor dense(const Tensor& tensor) {
  EncodedTensor encoded{{"dense"}, "raw", {}};
  encoded.bytes.append(tensor.data);
  return encoded;
}

Bytes nonzero_bits(const void* elements, int element, int64_t count) {
  std::byte* target = nullptr;
  Bytes bits = Bytes::allocate(static_cast<size_t>(kernels::bitmask_bytes(count)), &target);
  kernels::nonzero_bits({}, elements, element, count, reinterpret_cast<uint8_t*>(target));
  return bits;
}

// The smallest form of elements that are codes.
EncodedTensor encode_codes(const Tensor& tensor, bool entropy_code) {
  const Codes codes = codes_of(tensor);
  // Unused bits behind the last element that are not 0 would not come back.
  if (dtype_bits(tensor.dtype) % 8 != 0 && bytes_of(tensor.dtype, codes).text() != tensor.data.text())
    return dense(tensor);
  const int bits = least_bits(tensor.dtype, codes);
  const auto count = static_cast<int64_t>(codes.size());
  const LayoutPlaces placement = choose_layout(tensor.shape, nonzero_bits(codes.data(), sizeof codes[0], count), bits);
  StoredValues all;
  if (placement.layout.is_dense() || entropy_code) all = encode_values(tensor.dtype, codes, bits, entropy_code);
  if (!placement.layout.is_dense()) {
    Codes kept(static_cast<size_t>(placement.stored));
    kernels::gather_kept({}, codes.data(), sizeof codes[0], count, as_bits(placement.bits), kept.data());
    StoredValues some = encode_values(tensor.dtype, kept, bits, entropy_code);
    if (!entropy_code || placement.places.size() + some.bytes.size() < all.bytes.size()) {
      EncodedTensor encoded{placement.layout, std::move(some.name), {}};
      encoded.bytes.append(placement.places);
      encoded.bytes.append(std::move(some.bytes));
      return encoded;
    }
  }
  EncodedTensor encoded{{"dense"}, std::move(all.name), {}};
  encoded.bytes.append(std::move(all.bytes));
  return encoded;
}

// The inverse of encode_codes().
Bytes decode_codes(const LayoutPlaces& placement, StoredValues values, DType dtype, int64_t count) {
  const Codes kept = decode_values(values, dtype, placement.stored);
  if (placement.layout.is_dense()) return bytes_of(dtype, kept);
  Codes codes(static_cast<size_t>(count));
  if (placement.stored > 0)
    kernels::scatter_kept({}, kept.data(), sizeof codes[0], count, as_bits(placement.bits), codes.data());
  return bytes_of(dtype, codes);
}

bool is_integer(DType dtype) { return has_codes(dtype) && !is_float(dtype); }

// The table's columns, as vectors with one entry a tensor.
struct Columns {
  explicit Columns(const Hdf5Table& table)
      : names(table.texts("name")),
        dtypes(table.texts("dtype")),
        layouts(table.texts("layout")),
        values(table.texts("values")),
        shapes(table.integers("shape")),
        offsets(table.integers("offset")),
        sizes(table.integers("bytes")),
        hashes(table.integers("sha256")),
        rank(table.width("shape")) {
    if (table.has("length")) lengths = &table.integers("length");
    if (table.has("inner")) inners = &table.integers("inner");
    hash_width = table.width("sha256");
    if (hash_width > most_hash_bytes)
      fail_input("column 'sha256': is too wide (got {} bytes, expected at most {})", hash_width, most_hash_bytes);
  }

  const std::vector<std::string>& names;
  const std::vector<std::string>& dtypes;
  const std::vector<std::string>& layouts;
  const std::vector<std::string>& values;
  const std::vector<int64_t>& shapes;
  const std::vector<int64_t>& offsets;
  const std::vector<int64_t>& sizes;
  const std::vector<int64_t>& hashes;
  size_t rank;
  size_t hash_width = 0;
  const std::vector<int64_t>* lengths = nullptr;  // of N:M tensors: only in files that have some
  const std::vector<int64_t>* inners = nullptr;

  StorageLayout layout(size_t row) const {
    return {layouts[row], lengths == nullptr ? 0 : (*lengths)[row], inners == nullptr ? 0 : (*inners)[row]};
  }
};

DType dtype_of(const std::string& name) {
  for (int32_t number = 1; number <= static_cast<int32_t>(DType::float4e2m1); ++number)
    if (dtype_name(static_cast<DType>(number)) == name) return static_cast<DType>(number);
  fail_input("element type '{}' is unknown", name);
}

// The row that "scaled:ROW" names; -1 for other values.
int64_t scaled_row(const std::string& values) {
  int64_t row = -1;
  const char* end = values.data() + values.size();
  if (!values.starts_with("scaled:")) return -1;
  const auto [stop, error] = std::from_chars(values.data() + 7, end, row);
  return error == std::errc() && stop == end ? row : -1;
}

Bytes multiplied(const Tensor& base, float factor) {
  std::vector<float> values = base.as<float>();
  for (float& value : values) value *= factor;
  return Tensor::of(DType::float32, base.shape, values).data;
}

// A tensor that is a number times one of those before.
Bytes decode_scaled(const std::vector<StoredTensor>& before, int64_t row, const Tensor& tensor, const Bytes& stored) {
  if (row >= static_cast<int64_t>(before.size()))
    fail_input("values 'scaled:{}': no row before this one (got {})", row, before.size());
  const Tensor& base = before[static_cast<size_t>(row)].named.tensor;
  if (tensor.dtype != DType::float32 || base.dtype != DType::float32 || base.shape != tensor.shape ||
      stored.size() != sizeof(float))
    fail_input("values 'scaled:{}' do not fit (got {} of {} and {} bytes, expected {} of {} and 4)", row,
               dtype_name(base.dtype), shape_text(base.shape), stored.size(), dtype_name(tensor.dtype),
               shape_text(tensor.shape));
  float factor = 0;
  std::memcpy(&factor, stored.data(), sizeof factor);
  return multiplied(base, factor);
}

// An earlier row and the number that its tensor is multiplied with.
struct Scaled {
  size_t row;
  float factor;
};

// How a tensor follows from an earlier one of the same shape, where it does: the scales of biases do.
std::optional<Scaled> find_scaled(const std::vector<NamedTensor>& tensors, size_t at) {
  const Tensor& tensor = tensors[at].tensor;
  if (tensor.dtype != DType::float32 || tensor.elements() < 2) return std::nullopt;
  for (size_t row = 0; row < at; ++row) {
    const Tensor& base = tensors[row].tensor;
    if (base.dtype != DType::float32 || base.shape != tensor.shape) continue;
    if (const auto factor = scale_between(base, tensor)) return Scaled{row, *factor};
  }
  return std::nullopt;
}

StoredTensor read_row(const Columns& columns, size_t row, const Bytes& data, const std::vector<StoredTensor>& before) {
  Tensor tensor;
  tensor.dtype = dtype_of(columns.dtypes[row]);
  for (size_t i = 0; i < columns.rank && columns.shapes[row * columns.rank + i] != no_dimension; ++i)
    tensor.shape.push_back(columns.shapes[row * columns.rank + i]);
  const int64_t offset = columns.offsets[row];
  const int64_t size = columns.sizes[row];
  const auto available = static_cast<int64_t>(data.size());
  if (offset < 0 || size < 0 || offset > available || size > available - offset)
    fail_input("lies outside of tensors/data (got {} bytes at offset {}, expected at most {})", size, offset,
               available);
  const Bytes stored = slice(data, static_cast<size_t>(offset), static_cast<size_t>(size));
  const int64_t base = scaled_row(columns.values[row]);
  if (base >= 0) tensor.data = decode_scaled(before, base, tensor, stored);
  else tensor.data = decode_tensor(columns.layout(row), columns.values[row], tensor.dtype, tensor.shape, stored);
  const std::vector<int64_t> hash = hash_of(tensor.data, columns.hash_width);
  const bool intact = std::equal(hash.begin(), hash.end(),
                                 columns.hashes.begin() + static_cast<std::ptrdiff_t>(row * columns.hash_width));
  return {{columns.names[row], std::move(tensor)}, intact};
}

}  // namespace

EncodedTensor encode_tensor(const Tensor& tensor, bool entropy_code) {
  const int element = maskable_element(tensor.dtype);
  const int64_t count = tensor.elements();
  if (count == 0) return dense(tensor);
  if (is_integer(tensor.dtype) || (entropy_code && has_codes(tensor.dtype))) return encode_codes(tensor, entropy_code);
  if (element == 0) return dense(tensor);
  const Bytes values = aligned(tensor.data);
  const LayoutPlaces placement = choose_layout(tensor.shape, nonzero_bits(values.data(), element, count), 8 * element);
  if (placement.layout.is_dense()) return dense(tensor);
  std::byte* kept_target = nullptr;
  const Bytes kept = Bytes::allocate(static_cast<size_t>(placement.stored * element), &kept_target);
  kernels::gather_kept({}, values.data(), element, count, as_bits(placement.bits), kept_target);
  EncodedTensor encoded{placement.layout, "raw", {}};
  encoded.bytes.append(placement.places);
  encoded.bytes.append(kept);
  return encoded;
}

Bytes decode_tensor(const StorageLayout& layout, const std::string& values, DType dtype, const Shape& shape,
                    const Bytes& stored) {
  const int64_t count = element_count(shape);
  const int bits = dtype_bits(dtype);
  if (bits == 0) fail_input("element type {} cannot be stored", dtype_name(dtype));
  if (values != "raw" && known_values(values) && !has_codes(dtype))
    fail_input("values '{}' do not exist for {}", values, dtype_name(dtype));
  if (values != "raw" || (bits < 8 && !layout.is_dense())) {
    const LayoutPlaces placement = read_layout(layout, shape, stored);
    const size_t places = placement.places.size();
    return decode_codes(placement, {values, slice(stored, places, stored.size() - places)}, dtype, count);
  }
  if (layout.is_dense()) {
    // What is far too much could overflow in bytes.
    const bool plausible = static_cast<uint64_t>(count) / 8 <= stored.size();
    const auto expected = plausible ? static_cast<size_t>(Tensor{dtype, shape, {}}.byte_size()) : SIZE_MAX;
    if (stored.size() != expected)
      fail_input("bytes do not fit shape {} of {} (got {}, expected {})", shape_text(shape), dtype_name(dtype),
                 stored.size(), expected);
    return stored;
  }
  const int element = maskable_element(dtype);
  if (element == 0) fail_input("layout '{}' does not exist for {}", layout.name, dtype_name(dtype));
  const LayoutPlaces placement = read_layout(layout, shape, stored);
  const size_t places = placement.places.size();
  const Bytes kept = aligned(slice(stored, places, stored.size() - places));
  if (kept.size() != static_cast<size_t>(placement.stored * element))
    fail_input("the values do not fit layout {} (got {} bytes, expected {})", layout.name, kept.size(),
               placement.stored * element);
  std::byte* target = nullptr;
  Bytes decoded = Bytes::allocate(static_cast<size_t>(count) * static_cast<size_t>(element), &target);
  if (placement.stored > 0) kernels::scatter_kept({}, kept.data(), element, count, as_bits(placement.bits), target);
  else if (decoded.size() > 0) std::memset(target, 0, decoded.size());
  return decoded;
}

std::optional<float> scale_between(const Tensor& base, const Tensor& values) {
  const auto element = [](const Tensor& tensor, int64_t i) {
    float value = 0;
    std::memcpy(&value, tensor.data.data() + i * static_cast<int64_t>(sizeof value), sizeof value);
    return value;
  };
  const int64_t count = base.elements();
  if (count == 0 || base.data.size() != values.data.size()) return std::nullopt;
  float factor = element(values, 0) / element(base, 0);
  if (!std::isfinite(factor)) return std::nullopt;
  // The quotient is within a few steps of it.
  constexpr int steps = 3;
  constexpr float infinity = std::numeric_limits<float>::infinity();
  for (int i = 0; i < steps; ++i) factor = std::nextafter(factor, -infinity);
  for (int i = -steps; i <= steps; ++i, factor = std::nextafter(factor, infinity)) {
    int64_t same = 0;
    while (same < count &&
           std::bit_cast<uint32_t>(element(base, same) * factor) == std::bit_cast<uint32_t>(element(values, same)))
      ++same;
    if (same == count) return factor;
  }
  return std::nullopt;
}

void write_tensors(Hdf5Group group, const std::vector<NamedTensor>& tensors, bool entropy_code) {
  size_t rank = 1;
  for (const NamedTensor& named : tensors) rank = std::max(rank, named.tensor.shape.size());
  std::vector<std::string> names, dtypes, layouts, values;
  std::vector<int64_t> shapes, offsets, sizes, hashes, lengths, inners;
  ByteRope data;
  for (size_t at = 0; at < tensors.size(); ++at) {
    const auto& [name, tensor] = tensors[at];
    EncodedTensor encoded;
    if (const std::optional<Scaled> scaled = find_scaled(tensors, at)) {
      encoded.layout.name = "dense";
      encoded.values = fmt::format("scaled:{}", scaled->row);
      encoded.bytes.append(std::string(reinterpret_cast<const char*>(&scaled->factor), sizeof scaled->factor));
    } else {
      encoded = encode_tensor(tensor, entropy_code);
    }
    names.push_back(name);
    dtypes.push_back(dtype_name(tensor.dtype));
    layouts.push_back(encoded.layout.name);
    values.push_back(encoded.values);
    lengths.push_back(encoded.layout.length);
    inners.push_back(encoded.layout.inner);
    shapes.insert(shapes.end(), tensor.shape.begin(), tensor.shape.end());
    shapes.resize(names.size() * rank, no_dimension);
    offsets.push_back(static_cast<int64_t>(data.size()));
    sizes.push_back(static_cast<int64_t>(encoded.bytes.size()));
    const std::vector<int64_t> hash = hash_of(tensor.data);
    hashes.insert(hashes.end(), hash.begin(), hash.end());
    data.append(encoded.bytes);
  }
  Hdf5Table index(tensors.size());
  index.add("name", std::move(names));
  index.add("shape", std::move(shapes), rank);
  index.add("dtype", std::move(dtypes));
  index.add("layout", std::move(layouts));
  index.add("values", std::move(values));
  index.add("offset", std::move(offsets));
  index.add("bytes", std::move(sizes));
  index.add("sha256", std::move(hashes), hash_bytes);
  if (std::any_of(lengths.begin(), lengths.end(), [](int64_t length) { return length != 0; })) {
    index.add("length", std::move(lengths));
    index.add("inner", std::move(inners));
  }
  Hdf5Group target = group.create_group("tensors", 2);
  target.write_table("index", index);
  target.write_bytes("data", data);
}

std::vector<StoredTensor> read_tensors(const Hdf5Group& group) {
  const Hdf5Table index = group.read_table("tensors/index");
  const Columns columns(index);
  const Bytes data = group.read_bytes("tensors/data");
  std::vector<StoredTensor> tensors;
  for (size_t row = 0; row < index.rows(); ++row)
    tensors.push_back(with_context(fmt::format("tensor '{}'", columns.names[row]),
                                   [&] { return read_row(columns, row, data, tensors); }));
  return tensors;
}

}  // namespace pare
