#include "formats/hdf5_tensors.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "kernels/bitmask.hpp"
#include "src/core/error.hpp"

namespace pare {
namespace {

// Bytes of the SHA-256 that a row keeps. They find the damaged tensor; the whole file is vouched for by an untruncated
// hash.
constexpr size_t hash_bytes = 8;
constexpr int64_t no_dimension = -1;

std::vector<int64_t> hash_of(const Bytes& bytes) {
  const std::string hex = sha256_hex(bytes.span());
  std::vector<int64_t> hash(hash_bytes);
  for (size_t i = 0; i < hash_bytes; ++i) std::from_chars(hex.data() + 2 * i, hex.data() + 2 * i + 2, hash[i], 16);
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
  EncodedTensor encoded{"dense", {}};
  encoded.bytes.append(tensor.data);
  return encoded;
}

Bytes decode_bitmask(DType dtype, int64_t count, const Bytes& stored, size_t decoded_size) {
  const int element = maskable_element(dtype);
  if (element == 0) fail_input("layout 'bitmask' does not exist for {}", dtype_name(dtype));
  const auto mask_size = static_cast<size_t>(kernels::bitmask_bytes(count));
  if (stored.size() < mask_size)
    fail_input("the bit mask does not fit (got {} bytes, expected {})", stored.size(), mask_size);
  const Bytes mask = aligned(slice(stored, 0, mask_size));
  const Bytes kept = aligned(slice(stored, mask_size, stored.size() - mask_size));
  const int64_t ones = kernels::count_bits({}, as_bits(mask), count);
  if (kept.size() != static_cast<size_t>(ones * element))
    fail_input("the values do not fit the bit mask (got {} bytes, expected {})", kept.size(), ones * element);
  std::byte* target = nullptr;
  Bytes decoded = Bytes::allocate(decoded_size, &target);
  if (ones > 0) kernels::scatter_kept({}, kept.data(), element, count, as_bits(mask), target);
  return decoded;
}

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
    if (table.width("sha256") != hash_bytes)
      fail_input("column 'sha256': has another width (got {} bytes, expected {})", table.width("sha256"), hash_bytes);
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
};

DType dtype_of(const std::string& name) {
  for (int32_t number = 1; number <= static_cast<int32_t>(DType::float4e2m1); ++number)
    if (dtype_name(static_cast<DType>(number)) == name) return static_cast<DType>(number);
  fail_input("element type '{}' is unknown", name);
}

StoredTensor read_row(const Columns& columns, size_t row, const Bytes& data) {
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
  tensor.data = decode_tensor(columns.layouts[row], columns.values[row], tensor.dtype, tensor.shape, stored);
  const std::vector<int64_t> hash = hash_of(tensor.data);
  const bool intact =
      std::equal(hash.begin(), hash.end(), columns.hashes.begin() + static_cast<std::ptrdiff_t>(row * hash_bytes));
  return {{columns.names[row], std::move(tensor)}, intact};
}

}  // namespace

EncodedTensor encode_tensor(const Tensor& tensor) {
  const int element = maskable_element(tensor.dtype);
  const int64_t count = tensor.elements();
  if (element == 0 || count == 0) return dense(tensor);
  std::byte* mask_target = nullptr;
  const Bytes mask = Bytes::allocate(static_cast<size_t>(kernels::bitmask_bytes(count)), &mask_target);
  const Bytes values = aligned(tensor.data);
  kernels::nonzero_bits({}, values.data(), element, count, reinterpret_cast<uint8_t*>(mask_target));
  const auto kept_size = static_cast<size_t>(kernels::count_bits({}, as_bits(mask), count) * element);
  if (mask.size() + kept_size >= tensor.data.size()) return dense(tensor);
  std::byte* kept_target = nullptr;
  const Bytes kept = Bytes::allocate(kept_size, &kept_target);
  kernels::gather_kept({}, values.data(), element, count, as_bits(mask), kept_target);
  EncodedTensor encoded{"bitmask", {}};
  encoded.bytes.append(mask);
  encoded.bytes.append(kept);
  return encoded;
}

Bytes decode_tensor(const std::string& layout, const std::string& values, DType dtype, const Shape& shape,
                    const Bytes& stored) {
  if (values != "raw") fail_input("values '{}' are unknown to this version (expected raw); use a newer pare", values);
  const int64_t count = element_count(shape);
  const int bits = dtype_bits(dtype);
  if (bits == 0) fail_input("element type {} cannot be stored", dtype_name(dtype));
  // No layout takes less than a bit an element; beyond, sizes could overflow.
  if (static_cast<uint64_t>(count) / 8 > stored.size())
    fail_input("bytes do not fit shape {} of {} (got {})", shape_text(shape), dtype_name(dtype), stored.size());
  if (layout == "dense") {
    const auto expected = static_cast<size_t>(Tensor{dtype, shape, {}}.byte_size());
    if (stored.size() != expected)
      fail_input("bytes do not fit shape {} of {} (got {}, expected {})", shape_text(shape), dtype_name(dtype),
                 stored.size(), expected);
    return stored;
  }
  if (layout == "bitmask")
    return decode_bitmask(dtype, count, stored, static_cast<size_t>(count) * static_cast<size_t>(bits / 8));
  fail_input("layout '{}' is unknown to this version (expected dense or bitmask); use a newer pare", layout);
}

void write_tensors(Hdf5Group group, const std::vector<NamedTensor>& tensors) {
  size_t rank = 1;
  for (const NamedTensor& named : tensors) rank = std::max(rank, named.tensor.shape.size());
  std::vector<std::string> names, dtypes, layouts;
  std::vector<int64_t> shapes, offsets, sizes, hashes;
  ByteRope data;
  for (const auto& [name, tensor] : tensors) {
    const EncodedTensor encoded = encode_tensor(tensor);
    names.push_back(name);
    dtypes.push_back(dtype_name(tensor.dtype));
    layouts.push_back(encoded.layout);
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
  index.add("values", std::vector<std::string>(tensors.size(), "raw"));
  index.add("offset", std::move(offsets));
  index.add("bytes", std::move(sizes));
  index.add("sha256", std::move(hashes), hash_bytes);
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
    tensors.push_back(
        with_context(fmt::format("tensor '{}'", columns.names[row]), [&] { return read_row(columns, row, data); }));
  return tensors;
}

}  // namespace pare
