#include "formats/onnx_attribute.hpp"

#include "formats/onnx_proto.hpp"
#include "formats/onnx_tensor.hpp"
#include "formats/protobuf.hpp"

namespace pare {
namespace {

Dim read_dim(std::string_view message) {
  Dim dim;
  auto reader = reader_of(message);
  while (reader.next()) {
    switch (reader.tag()) {
      case onnx_proto::Dimension::dim_value:
        dim.size = reader.get_int64();
        break;
      case onnx_proto::Dimension::dim_param:
        dim.symbol = reader.get_string();
        break;
      default:
        reader.skip();
    }
  }
  // Exporters write negative sizes for "any".
  if (dim.size < 0) dim.size = -1;
  return dim;
}

void read_tensor_type(std::string_view message, ValueInfo& info) {
  auto reader = reader_of(message);
  while (reader.next()) {
    if (reader.tag() == onnx_proto::TensorType::elem_type) {
      info.dtype = static_cast<DType>(reader.get_int32());
    } else if (reader.tag() == onnx_proto::TensorType::shape) {
      info.ranked = true;
      auto shape = reader_of(payload_of(reader));
      while (shape.next(onnx_proto::TensorShape::dim)) info.dims.push_back(read_dim(payload_of(shape)));
    } else {
      reader.skip();
    }
  }
}

}  // namespace

std::optional<Attribute> AttributeFields::value() const {
  switch (type) {
    case AttributeType::real:
      return real;
    case AttributeType::integer:
      return integer;
    case AttributeType::text:
      return text;
    case AttributeType::tensor:
      return tensor ? std::optional<Attribute>(*tensor) : std::nullopt;
    case AttributeType::reals:
      return reals;
    case AttributeType::integers:
      return integers;
    case AttributeType::texts:
      return texts;
    default:
      return std::nullopt;
  }
}

AttributeFields read_attribute(const Bytes& owner, std::string_view message, const std::string& folder) {
  AttributeFields fields;
  AttributeType seen = AttributeType::undefined;
  auto reader = reader_of(message);
  const auto packed = protozero::pbf_wire_type::length_delimited;
  while (reader.next()) {
    switch (reader.tag()) {
      case onnx_proto::Attribute::name:
        fields.name = reader.get_string();
        break;
      case onnx_proto::Attribute::type:
        fields.type = static_cast<AttributeType>(reader.get_enum());
        break;
      case onnx_proto::Attribute::ref_attr_name:
        fields.reference = reader.get_string();
        break;
      case onnx_proto::Attribute::f:
        fields.real = reader.get_float(), seen = AttributeType::real;
        break;
      case onnx_proto::Attribute::i:
        fields.integer = reader.get_int64(), seen = AttributeType::integer;
        break;
      case onnx_proto::Attribute::s:
        fields.text = reader.get_string(), seen = AttributeType::text;
        break;
      case onnx_proto::Attribute::t:
        fields.tensor = read_tensor(owner, payload_of(reader), folder).tensor, seen = AttributeType::tensor;
        break;
      case onnx_proto::Attribute::g:
        fields.graph = payload_of(reader), seen = AttributeType::graph;
        break;
      case onnx_proto::Attribute::floats:
        seen = AttributeType::reals;
        if (reader.wire_type() == packed)
          for (const float value : reader.get_packed_float()) fields.reals.push_back(value);
        else fields.reals.push_back(reader.get_float());
        break;
      case onnx_proto::Attribute::ints:
        seen = AttributeType::integers;
        if (reader.wire_type() == packed)
          for (const int64_t value : reader.get_packed_int64()) fields.integers.push_back(value);
        else fields.integers.push_back(reader.get_int64());
        break;
      case onnx_proto::Attribute::strings:
        fields.texts.push_back(reader.get_string()), seen = AttributeType::texts;
        break;
      default:
        reader.skip();
    }
  }
  if (fields.type == AttributeType::undefined) fields.type = seen;
  return fields;
}

ValueInfo read_value_info(std::string_view message) {
  ValueInfo info;
  auto reader = reader_of(message);
  while (reader.next()) {
    if (reader.tag() == onnx_proto::ValueInfo::name) {
      info.name = reader.get_string();
    } else if (reader.tag() == onnx_proto::ValueInfo::type) {
      auto type = reader_of(payload_of(reader));
      while (type.next(onnx_proto::Type::tensor_type)) read_tensor_type(payload_of(type), info);
    } else {
      reader.skip();
    }
  }
  return info;
}

}  // namespace pare
