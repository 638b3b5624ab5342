#include "formats/onnx_model.hpp"

#include <filesystem>

#include "formats/onnx_message.hpp"
#include "formats/onnx_proto.hpp"
#include "formats/onnx_tensor.hpp"
#include "formats/protobuf.hpp"
#include "src/core/error.hpp"

namespace pare {
namespace {

std::string folder_of(const std::string& path) { return std::filesystem::path(path).parent_path().string(); }

void read_opset(std::string_view message, std::map<std::string, int64_t>& opsets) {
  auto reader = reader_of(message);
  std::string domain;
  int64_t version = 0;
  while (reader.next()) {
    switch (reader.tag()) {
      case onnx_proto::OperatorSetId::domain:
        domain = reader.get_string();
        break;
      case onnx_proto::OperatorSetId::version:
        version = reader.get_int64();
        break;
      default:
        reader.skip();
    }
  }
  if (domain == "ai.onnx") domain.clear();
  opsets[domain] = version;
}

std::pair<std::string, std::string> read_entry(std::string_view message) {
  auto reader = reader_of(message);
  std::pair<std::string, std::string> entry;
  while (reader.next()) {
    switch (reader.tag()) {
      case onnx_proto::StringStringEntry::key:
        entry.first = reader.get_string();
        break;
      case onnx_proto::StringStringEntry::value:
        entry.second = reader.get_string();
        break;
      default:
        reader.skip();
    }
  }
  return entry;
}

ByteRope entry_of(const std::string& key, const std::string& value) {
  ByteRope entry;
  for (const auto& [number, text] :
       {std::pair{onnx_proto::StringStringEntry::key, key}, {onnx_proto::StringStringEntry::value, value}}) {
    ByteRope content;
    content.append(text);
    entry.append(length_delimited(number, content));
  }
  return entry;
}

// The TensorProto inside a Constant node's `value` attribute, wrapped for the edit; nullopt for every other node.
struct ConstantNode {
  std::string output;
  bool is_constant = false;
};

ConstantNode constant_node(std::string_view message) {
  ConstantNode result;
  bool constant_op = false;
  bool default_domain = true;
  auto reader = reader_of(message);
  while (reader.next()) {
    switch (reader.tag()) {
      case onnx_proto::Node::output:
        result.output = reader.get_string();
        break;
      case onnx_proto::Node::op_type:
        constant_op = payload_of(reader) == "Constant";
        break;
      case onnx_proto::Node::domain: {
        const std::string_view domain = payload_of(reader);
        default_domain = domain.empty() || domain == "ai.onnx";
        break;
      }
      default:
        reader.skip();
    }
  }
  result.is_constant = constant_op && default_domain && !result.output.empty();
  return result;
}

using TensorMessage = std::function<FieldEdit(const std::string& name, const Bytes& message)>;

FieldEdit edit_constant(const Bytes& node, const TensorMessage& visit) {
  const ConstantNode constant = constant_node(node.text());
  if (!constant.is_constant) return FieldEdit::keep();
  bool changed = false;
  ByteRope edited = edit_message(node, [&](uint32_t node_field, const Bytes& attribute) {
    if (node_field != onnx_proto::Node::attribute) return FieldEdit::keep();
    bool attribute_changed = false;
    ByteRope content = edit_message(attribute, [&](uint32_t field, const Bytes& tensor) {
      if (field != onnx_proto::Attribute::t) return FieldEdit::keep();
      FieldEdit edit = visit(constant.output, tensor);
      attribute_changed |= edit.action != FieldEdit::Action::keep;
      return edit;
    });
    changed |= attribute_changed;
    return attribute_changed ? FieldEdit::replace(std::move(content)) : FieldEdit::keep();
  });
  return changed ? FieldEdit::replace(std::move(edited)) : FieldEdit::keep();
}

// Visits each tensor of the top-level graph in file order; returns the graph with the edits applied.
ByteRope edit_tensors(const Bytes& graph, const TensorMessage& visit) {
  return edit_message(graph, [&](uint32_t field, const Bytes& payload) {
    if (field == onnx_proto::Graph::initializer) return visit("", payload);
    if (field == onnx_proto::Graph::node) return edit_constant(payload, visit);
    return FieldEdit::keep();
  });
}

template <class Body>
auto decoding(const std::string& what, Body&& body) {
  try {
    return body();
  } catch (const protozero::exception& error) {
    fail_input("{} is malformed ({})", what, error.what());
  }
}

}  // namespace

OnnxModel open_onnx(Bytes bytes, std::string path) {
  OnnxModel model;
  model.path = std::move(path);
  model.bytes = std::move(bytes);
  bool has_graph = false;
  auto reader = reader_of(model.bytes.text());
  size_t offset = 0;
  try {
    while (true) {
      offset = model.bytes.size() - reader.length();
      if (!reader.next()) break;
      switch (reader.tag()) {
        case onnx_proto::Model::ir_version:
          model.ir_version = reader.get_int64();
          break;
        case onnx_proto::Model::producer_name:
          model.producer = reader.get_string();
          break;
        case onnx_proto::Model::opset_import:
          read_opset(payload_of(reader), model.opsets);
          break;
        case onnx_proto::Model::metadata_props:
          model.metadata.insert(read_entry(payload_of(reader)));
          break;
        case onnx_proto::Model::graph:
          has_graph = true;
          reader.skip();
          break;
        default:
          reader.skip();
      }
    }
  } catch (const protozero::exception& error) {
    fail_input("not an ONNX model, or a damaged one ({} at byte {} of {})", error.what(), offset, model.bytes.size());
  }
  if (!has_graph) fail_input("not an ONNX model ({} bytes without a graph)", model.bytes.size());
  return model;
}

std::vector<NamedTensor> read_tensors(const OnnxModel& model) {
  std::vector<NamedTensor> tensors;
  const std::string folder = folder_of(model.path);
  decoding("the graph", [&] {
    edit_message(model.bytes, [&](uint32_t field, const Bytes& graph) {
      if (field == onnx_proto::Model::graph)
        edit_tensors(graph, [&](const std::string& name, const Bytes& message) {
          NamedTensor tensor = read_tensor(model.bytes, message.text(), folder);
          if (!name.empty()) tensor.name = name;
          tensors.push_back(std::move(tensor));
          return FieldEdit::keep();
        });
      return FieldEdit::keep();
    });
  });
  return tensors;
}

ByteRope edit_onnx(const OnnxModel& model, const OnnxEdit& edit) {
  const std::string folder = folder_of(model.path);
  const auto edit_tensor = [&](const std::string& name, const Bytes& message) {
    NamedTensor tensor = read_tensor(model.bytes, message.text(), folder);
    if (!name.empty()) tensor.name = name;
    std::optional<Bytes> data;
    if (edit.tensor_data) data = edit.tensor_data(tensor);
    if (!data && has_external_data(message.text())) data = tensor.tensor.data;
    return data ? FieldEdit::replace(with_tensor_data(message, *data)) : FieldEdit::keep();
  };
  return decoding("the model", [&] {
    std::map<std::string, std::string> added = edit.metadata;
    ByteRope result = edit_message(model.bytes, [&](uint32_t field, const Bytes& payload) {
      if (field == onnx_proto::Model::graph) return FieldEdit::replace(edit_tensors(payload, edit_tensor));
      if (field != onnx_proto::Model::metadata_props) return FieldEdit::keep();
      const auto found = edit.metadata.find(read_entry(payload.text()).first);
      if (found == edit.metadata.end()) return FieldEdit::keep();
      added.erase(found->first);
      return FieldEdit::replace(entry_of(found->first, found->second));
    });
    for (const auto& [key, value] : added)
      result.append(length_delimited(onnx_proto::Model::metadata_props, entry_of(key, value)));
    return result;
  });
}

OnnxModel with_tensors(const OnnxModel& model, const std::map<std::string, Tensor>& tensors) {
  size_t replaced = 0;
  OnnxEdit edit;
  edit.tensor_data = [&](const NamedTensor& current) -> std::optional<Bytes> {
    const auto found = tensors.find(current.name);
    if (found == tensors.end()) return std::nullopt;
    if (found->second.dtype != current.tensor.dtype || found->second.shape != current.tensor.shape)
      fail_run("tensor '{}': new values are {} {} (expected {} {})", current.name, dtype_name(found->second.dtype),
               shape_text(found->second.shape), dtype_name(current.tensor.dtype), shape_text(current.tensor.shape));
    ++replaced;
    return found->second.data;
  };
  OnnxModel result = open_onnx(edit_onnx(model, edit).flatten(), model.path);
  if (replaced != tensors.size())
    fail_run("{} of {} tensors are not in the model", tensors.size() - replaced, tensors.size());
  return result;
}

}  // namespace pare
