#include "formats/onnx_function.hpp"

#include "formats/onnx_attribute.hpp"
#include "formats/onnx_proto.hpp"
#include "formats/protobuf.hpp"
#include "src/core/error.hpp"

namespace pare {
namespace {

using Proto = onnx_proto::Function;

// The version that an OperatorSetIdProto gives the default domain; 0 for other domains.
int64_t default_opset(std::string_view message) {
  std::string domain;
  int64_t version = 0;
  auto reader = reader_of(message);
  while (reader.next()) {
    if (reader.tag() == onnx_proto::OperatorSetId::domain) domain = reader.get_string();
    else if (reader.tag() == onnx_proto::OperatorSetId::version) version = reader.get_int64();
    else reader.skip();
  }
  return domain.empty() || domain == "ai.onnx" ? version : 0;
}

void read_function(const OnnxModel& model, std::string_view message, const std::string& folder, Functions& functions) {
  Function function;
  std::string domain;
  std::string name;
  std::string overload;
  auto reader = reader_of(message);
  while (reader.next()) {
    switch (reader.tag()) {
      case Proto::name:
        name = reader.get_string();
        break;
      case Proto::domain:
        domain = reader.get_string();
        break;
      case Proto::overload:
        overload = reader.get_string();
        break;
      case Proto::input:
        function.inputs.push_back(reader.get_string());
        break;
      case Proto::output:
        function.outputs.push_back(reader.get_string());
        break;
      case Proto::node:
        function.nodes.push_back(payload_of(reader));
        break;
      case Proto::attribute_proto: {
        const AttributeFields fields = read_attribute(model.bytes, payload_of(reader), folder);
        if (auto value = fields.value()) function.defaults.insert_or_assign(fields.name, std::move(*value));
        break;
      }
      case Proto::opset_import:
        if (const int64_t version = default_opset(payload_of(reader)); version != 0) function.opset = version;
        break;
      default:
        reader.skip();
    }
  }
  if (name.empty()) fail_input("a local function has no name");
  if (!functions.emplace(std::tuple{domain, name, overload}, std::move(function)).second)
    fail_input("local function '{}.{}' is defined twice", domain, name);
}

}  // namespace

Functions read_functions(const OnnxModel& model, const std::string& folder) {
  Functions functions;
  auto reader = reader_of(model.bytes.text());
  while (reader.next(onnx_proto::Model::functions)) read_function(model, payload_of(reader), folder, functions);
  return functions;
}

}  // namespace pare
