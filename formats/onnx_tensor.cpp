#include "formats/onnx_tensor.hpp"

#include <cstring>
#include <functional>

#include "formats/onnx_external.hpp"
#include "formats/onnx_message.hpp"
#include "formats/onnx_proto.hpp"
#include "formats/protobuf.hpp"
#include "src/core/error.hpp"

namespace pare {
namespace {

using Proto = onnx_proto::Tensor;

// The tensor's fields as they lie in the message; typed data stays undecoded until its type is known.
struct Fields {
  std::string name;
  Shape dims;
  DType dtype = DType::undefined;
  std::optional<std::string_view> raw;
  std::vector<std::string_view> strings;
  ExternalReference reference;
  bool external = false;
};

void append_dims(protozero::pbf_reader& reader, Shape& dims) {
  if (reader.wire_type() == protozero::pbf_wire_type::varint) {
    dims.push_back(reader.get_int64());
    return;
  }
  for (const int64_t dim : reader.get_packed_int64()) dims.push_back(dim);
}

Fields read_fields(std::string_view message) {
  Fields fields;
  protozero::pbf_reader reader = reader_of(message);
  while (reader.next()) {
    switch (reader.tag()) {
      case Proto::dims:
        append_dims(reader, fields.dims);
        break;
      case Proto::data_type:
        fields.dtype = static_cast<DType>(reader.get_int32());
        break;
      case Proto::name:
        fields.name = reader.get_string();
        break;
      case Proto::raw_data:
        fields.raw = payload_of(reader);
        break;
      case Proto::external_data:
        read_external_entry(payload_of(reader), fields.reference);
        break;
      case Proto::data_location:
        fields.external = reader.get_enum() == 1;
        break;
      default:
        reader.skip();
    }
  }
  return fields;
}

// Decodes one typed data field (packed or not) into elements of Stored, each narrowed from Wire.
template <class Stored, class Wire, class Packed, class Single>
std::vector<Stored> typed_values(std::string_view message, uint32_t field, Packed packed, Single single) {
  std::vector<Stored> values;
  protozero::pbf_reader reader = reader_of(message);
  while (reader.next()) {
    if (reader.tag() != field) {
      reader.skip();
    } else if (reader.wire_type() == protozero::pbf_wire_type::length_delimited) {
      for (const Wire value : packed(reader)) values.push_back(static_cast<Stored>(value));
    } else {
      values.push_back(static_cast<Stored>(single(reader)));
    }
  }
  return values;
}

template <class Stored>
std::vector<std::byte> bytes_of(const std::vector<Stored>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(Stored));
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

template <class Stored>
std::vector<std::byte> from_int32(std::string_view message) {
  return bytes_of(typed_values<Stored, int32_t>(
      message, Proto::int32_data, [](auto& reader) { return reader.get_packed_int32(); },
      [](auto& reader) { return reader.get_int32(); }));
}

template <class Stored>
std::vector<std::byte> from_uint64(std::string_view message) {
  return bytes_of(typed_values<Stored, uint64_t>(
      message, Proto::uint64_data, [](auto& reader) { return reader.get_packed_uint64(); },
      [](auto& reader) { return reader.get_uint64(); }));
}

// The typed data field that the specification assigns to each element type.
std::vector<std::byte> typed_data(std::string_view message, DType dtype) {
  switch (dtype) {
    case DType::float32:
    case DType::complex64:
      return bytes_of(typed_values<float, float>(
          message, Proto::float_data, [](auto& reader) { return reader.get_packed_float(); },
          [](auto& reader) { return reader.get_float(); }));
    case DType::float64:
    case DType::complex128:
      return bytes_of(typed_values<double, double>(
          message, Proto::double_data, [](auto& reader) { return reader.get_packed_double(); },
          [](auto& reader) { return reader.get_double(); }));
    case DType::int64:
      return bytes_of(typed_values<int64_t, int64_t>(
          message, Proto::int64_data, [](auto& reader) { return reader.get_packed_int64(); },
          [](auto& reader) { return reader.get_int64(); }));
    case DType::uint64:
      return from_uint64<uint64_t>(message);
    case DType::uint32:
      return from_uint64<uint32_t>(message);
    case DType::int32:
      return from_int32<int32_t>(message);
    default:
      return dtype_bits(dtype) == 16 ? from_int32<uint16_t>(message) : from_int32<uint8_t>(message);
  }
}

Bytes data_of(const Bytes& owner, std::string_view message, const Fields& fields, const Tensor& shape_and_type,
              const std::string& folder) {
  if (dtype_bits(fields.dtype) == 0) return {};
  const int64_t size = shape_and_type.byte_size();
  if (fields.external) return external_bytes(fields.reference, size, folder);
  if (fields.raw) {
    if (static_cast<int64_t>(fields.raw->size()) != size)
      fail_input("raw_data does not fit shape {} of {} (got {} bytes, expected {})", shape_text(fields.dims),
                 dtype_name(fields.dtype), fields.raw->size(), size);
    return owner.part(*fields.raw);
  }
  const std::vector<std::byte> typed = typed_data(message, fields.dtype);
  if (typed.empty()) return {};
  if (static_cast<int64_t>(typed.size()) != size)
    fail_input("data does not fit shape {} of {} (got {} bytes, expected {})", shape_text(fields.dims),
               dtype_name(fields.dtype), typed.size(), size);
  std::byte* target = nullptr;
  Bytes data = Bytes::allocate(typed.size(), &target);
  std::memcpy(target, typed.data(), typed.size());
  return data;
}

// The row-major position of each stored value: indices are [stored] positions, or [stored, rank] coordinates.
std::vector<int64_t> positions_of(const Tensor& indices, const Shape& shape, int64_t stored) {
  if (indices.dtype != DType::int64) fail_input("indices are {} (expected int64)", dtype_name(indices.dtype));
  const auto rank = static_cast<int64_t>(shape.size());
  const bool flat = indices.shape == Shape{stored};
  if (!flat && indices.shape != Shape{stored, rank})
    fail_input("indices do not fit (got shape {}, expected {} or {}x{})", shape_text(indices.shape), stored, stored,
               rank);
  const std::vector<int64_t> given = to_int64(indices);
  const int64_t size = element_count(shape);
  std::vector<int64_t> positions;
  for (int64_t i = 0; i < stored; ++i) {
    int64_t position = flat ? given[static_cast<size_t>(i)] : 0;
    for (int64_t d = 0; d < rank && !flat; ++d) {
      const int64_t at = given[static_cast<size_t>(i * rank + d)];
      if (at < 0 || at >= shape[static_cast<size_t>(d)]) fail_input("an index is out of range (got {})", at);
      position = position * shape[static_cast<size_t>(d)] + at;
    }
    if (position < 0 || position >= size) fail_input("an index is out of range (got {}, size {})", position, size);
    positions.push_back(position);
  }
  return positions;
}

// A small file must not ask for all memory: below one stored value in a thousand, only 16 MB are made dense.
constexpr int64_t always_dense_bytes = int64_t{1} << 24;
constexpr int64_t largest_density = 1000;

Tensor dense(const Tensor& values, const Tensor& indices, const Shape& shape, size_t stored_bytes) {
  Tensor result{values.dtype, shape, {}};
  const int width = dtype_bits(values.dtype) / 8;
  if (width == 0) fail_input("element type {} cannot be made dense", dtype_name(values.dtype));
  const int64_t bytes = result.byte_size();
  if (bytes > always_dense_bytes && bytes / largest_density > static_cast<int64_t>(stored_bytes))
    fail_input("shape {} is too large for {} stored bytes", shape_text(shape), stored_bytes);
  if (static_cast<int64_t>(values.data.size()) != values.byte_size()) fail_input("the values have no data");
  const auto positions = positions_of(indices, shape, values.elements());
  std::byte* target = nullptr;
  result.data = Bytes::allocate(static_cast<size_t>(bytes), &target);
  for (size_t i = 0; i < positions.size(); ++i)
    std::memcpy(target + positions[i] * width, values.data.data() + static_cast<int64_t>(i) * width,
                static_cast<size_t>(width));
  return result;
}

// Copies a TensorProto without the fields that hold or name data; `write` adds the new ones, called once where they
// belong: serializers write fields by number, and keeping that order makes store and restore of a file the identity.
ByteRope with_data_fields(const Bytes& message, uint32_t number, const std::function<void(ByteRope&)>& write) {
  ByteRope result;
  bool written = false;
  const auto write_once = [&] {
    if (!written) write(result);
    written = true;
  };
  const std::string_view text = message.text();
  protozero::pbf_reader reader = reader_of(text);
  while (true) {
    const char* start = reader.data().data();
    if (!reader.next()) break;
    const uint32_t tag = reader.tag();
    reader.skip();
    if (tag > number) write_once();
    switch (tag) {
      case Proto::float_data:
      case Proto::int32_data:
      case Proto::int64_data:
      case Proto::raw_data:
      case Proto::double_data:
      case Proto::uint64_data:
      case Proto::external_data:
      case Proto::data_location:
        break;
      default:
        result.append(message.part({start, static_cast<size_t>(reader.data().data() - start)}));
    }
  }
  write_once();
  return result;
}

}  // namespace

NamedTensor read_tensor(const Bytes& owner, std::string_view message, const std::string& folder) {
  Fields fields = read_fields(message);
  return with_context(fmt::format("tensor '{}'", fields.name), [&] {
    if (dtype_bits(fields.dtype) == 0 && fields.dtype != DType::string)
      fail_input("element type {} is not one of ONNX's", dtype_name(fields.dtype));
    Tensor tensor{fields.dtype, fields.dims, {}};
    element_count(tensor.shape);
    tensor.data = data_of(owner, message, fields, tensor, folder);
    return NamedTensor{fields.name, std::move(tensor)};
  });
}

NamedTensor read_sparse_tensor(const Bytes& owner, std::string_view message, const std::string& folder) {
  using Sparse = onnx_proto::SparseTensor;
  NamedTensor values;
  Tensor indices;
  Shape shape;
  protozero::pbf_reader reader = reader_of(message);
  while (reader.next()) {
    if (reader.tag() == Sparse::values) values = read_tensor(owner, payload_of(reader), folder);
    else if (reader.tag() == Sparse::indices) indices = read_tensor(owner, payload_of(reader), folder).tensor;
    else if (reader.tag() == Sparse::dims) append_dims(reader, shape);
    else reader.skip();
  }
  return with_context(fmt::format("sparse tensor '{}'", values.name), [&] {
    return NamedTensor{values.name, dense(values.tensor, indices, shape, message.size())};
  });
}

std::string external_location(std::string_view message) {
  const Fields fields = read_fields(message);
  return fields.external ? fields.reference.location : "";
}

bool has_external_data(std::string_view message) { return read_fields(message).external; }

ByteRope with_tensor_data(const Bytes& message, const Bytes& data) {
  return with_data_fields(message, Proto::raw_data, [&](ByteRope& result) {
    if (data.size() == 0) return;
    ByteRope raw;
    raw.append(data);
    result.append(length_delimited(Proto::raw_data, raw));
  });
}

ByteRope with_external_reference(const Bytes& message, const ExternalReference& reference) {
  return with_data_fields(message, Proto::external_data, [&](ByteRope& result) {
    std::string fields;
    protozero::pbf_writer writer(fields);
    const std::pair<const char*, std::string> entries[] = {{"location", reference.location},
                                                           {"offset", std::to_string(reference.offset)},
                                                           {"length", std::to_string(reference.length)}};
    for (const auto& [key, value] : entries) {
      protozero::pbf_writer entry(writer, Proto::external_data);
      entry.add_string(onnx_proto::StringStringEntry::key, key);
      entry.add_string(onnx_proto::StringStringEntry::value, value);
    }
    writer.add_enum(Proto::data_location, 1);
    result.append(std::move(fields));
  });
}

}  // namespace pare
