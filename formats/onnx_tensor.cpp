#include "formats/onnx_tensor.hpp"

#include <cstring>
#include <filesystem>
#include <functional>

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
  std::string location;
  int64_t external_offset = 0;
  int64_t external_length = -1;
  bool external = false;
};

void read_external_entry(std::string_view message, Fields& fields) {
  protozero::pbf_reader entry = reader_of(message);
  std::string key;
  std::string value;
  while (entry.next()) {
    switch (entry.tag()) {
      case onnx_proto::StringStringEntry::key:
        key = entry.get_string();
        break;
      case onnx_proto::StringStringEntry::value:
        value = entry.get_string();
        break;
      default:
        entry.skip();
    }
  }
  const auto number = [&] {
    char* end = nullptr;
    const int64_t parsed = std::strtoll(value.c_str(), &end, 10);
    if (value.empty() || *end != '\0' || parsed < 0)
      fail_input("external data: {} is not a size (got '{}')", key, value);
    return parsed;
  };
  if (key == "location") fields.location = value;
  if (key == "offset") fields.external_offset = number();
  if (key == "length") fields.external_length = number();
}

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
        read_external_entry(payload_of(reader), fields);
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

Bytes external_bytes(const Fields& fields, int64_t size, const std::string& folder) {
  const std::filesystem::path location(fields.location);
  if (location.empty() || location.is_absolute())
    fail_input("external data: location '{}' must be relative to the model", fields.location);
  for (const auto& part : location)
    if (part == "..") fail_input("external data: location '{}' leaves the model's folder", fields.location);
  const Bytes file = map_file((std::filesystem::path(folder) / location).string());
  if (fields.external_length >= 0 && fields.external_length != size)
    fail_input("external data: length does not fit the shape (got {}, expected {})", fields.external_length, size);
  const auto available = static_cast<int64_t>(file.size());
  if (fields.external_offset > available || size > available - fields.external_offset)
    fail_input("external data: '{}' is too short (got {} bytes, expected {} at offset {})", fields.location, available,
               size, fields.external_offset);
  return file.part(file.text().substr(static_cast<size_t>(fields.external_offset), static_cast<size_t>(size)));
}

Bytes data_of(const Bytes& owner, std::string_view message, const Fields& fields, const Tensor& shape_and_type,
              const std::string& folder) {
  if (dtype_bits(fields.dtype) == 0) return {};
  const int64_t size = shape_and_type.byte_size();
  if (fields.external) return external_bytes(fields, size, folder);
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

bool has_external_data(std::string_view message) { return read_fields(message).external; }

ByteRope with_tensor_data(const Bytes& message, const Bytes& data) {
  ByteRope result;
  ByteRope raw;
  raw.append(data);
  bool written = data.size() == 0;
  const auto write_raw = [&] {
    if (!written) result.append(length_delimited(Proto::raw_data, raw));
    written = true;
  };
  const std::string_view text = message.text();
  protozero::pbf_reader reader = reader_of(text);
  while (true) {
    const char* start = reader.data().data();
    if (!reader.next()) break;
    const uint32_t tag = reader.tag();
    reader.skip();
    // Serializers write fields by number; keeping that order makes store and restore of a file the identity.
    if (tag > Proto::raw_data) write_raw();
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
  write_raw();
  return result;
}

}  // namespace pare
