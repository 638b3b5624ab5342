#include "formats/onnx_model.hpp"

#include <filesystem>
#include <set>

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

// What decides where a node's tensors are.
struct NodeHeader {
  std::string output;  // the first one
  bool is_constant = false;
};

NodeHeader read_node_header(std::string_view message) {
  NodeHeader header;
  bool constant_op = false;
  bool default_domain = true;
  auto reader = reader_of(message);
  while (reader.next()) {
    switch (reader.tag()) {
      case onnx_proto::Node::output:
        if (header.output.empty()) header.output = reader.get_string();
        else reader.skip();
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
  header.is_constant = constant_op && default_domain && !header.output.empty();
  return header;
}

std::string attribute_name(std::string_view message) {
  auto reader = reader_of(message);
  while (reader.next(onnx_proto::Attribute::name)) return reader.get_string();
  return "";
}

// Visits the tensors of a graph in file order, those of its subgraphs too; copies the graph with the edits applied.
class TensorEditor {
 public:
  // Gets the tensor's name in front of its own (subgraphs: "output/attribute/"), the name where it is not the message's
  // (Constant nodes), and the TensorProto.
  using Visit = std::function<FieldEdit(const std::string& path, const std::string& name, const Bytes& message)>;

  explicit TensorEditor(const Visit& visit) : visit_(visit) {}

  FieldEdit edit_graph(const Bytes& graph, const std::string& path, int depth) const {
    if (depth > deepest_nesting) fail_input("subgraphs nest deeper than {}", deepest_nesting);
    return edited(graph, [&](uint32_t field, const Bytes& payload) {
      if (field == onnx_proto::Graph::initializer) return visit_(path, "", payload);
      if (field == onnx_proto::Graph::node) return edit_node(payload, path, depth);
      return FieldEdit::keep();
    });
  }

 private:
  static constexpr int deepest_nesting = 50;

  // The message with its fields edited; `keep` when none was.
  template <class Edit>
  static FieldEdit edited(const Bytes& message, Edit&& edit) {
    bool changed = false;
    ByteRope result = edit_message(message, [&](uint32_t field, const Bytes& payload) {
      FieldEdit inner = edit(field, payload);
      changed |= inner.action != FieldEdit::Action::keep;
      return inner;
    });
    return changed ? FieldEdit::replace(std::move(result)) : FieldEdit::keep();
  }

  FieldEdit edit_node(const Bytes& node, const std::string& path, int depth) const {
    const NodeHeader header = read_node_header(node.text());
    return edited(node, [&](uint32_t node_field, const Bytes& attribute) {
      if (node_field != onnx_proto::Node::attribute) return FieldEdit::keep();
      return edited(attribute, [&](uint32_t field, const Bytes& payload) {
        if (field == onnx_proto::Attribute::t && header.is_constant) return visit_(path, header.output, payload);
        if (field != onnx_proto::Attribute::g) return FieldEdit::keep();
        return edit_graph(payload, fmt::format("{}{}/{}/", path, header.output, attribute_name(attribute.text())),
                          depth + 1);
      });
    });
  }

  const Visit& visit_;
};

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

namespace {

NamedTensor tensor_at(const OnnxModel& model, const std::string& path, const std::string& name, const Bytes& message,
                      const std::string& folder) {
  NamedTensor tensor = read_tensor(model.bytes, message.text(), folder);
  if (!name.empty()) tensor.name = name;
  tensor.name = path + tensor.name;
  return tensor;
}

}  // namespace

std::vector<NamedTensor> read_tensors(const OnnxModel& model) {
  std::vector<NamedTensor> tensors;
  const std::string folder = folder_of(model.path);
  const TensorEditor::Visit visit = [&](const std::string& path, const std::string& name, const Bytes& message) {
    tensors.push_back(tensor_at(model, path, name, message, folder));
    return FieldEdit::keep();
  };
  decoding("the graph", [&] {
    edit_message(model.bytes, [&](uint32_t field, const Bytes& graph) {
      if (field == onnx_proto::Model::graph) TensorEditor(visit).edit_graph(graph, "", 0);
      return FieldEdit::keep();
    });
  });
  return tensors;
}

size_t external_bytes(const OnnxModel& model) {
  std::set<std::string> locations;
  const TensorEditor::Visit visit = [&](const std::string&, const std::string&, const Bytes& message) {
    if (auto location = external_location(message.text()); !location.empty()) locations.insert(std::move(location));
    return FieldEdit::keep();
  };
  decoding("the graph", [&] {
    edit_message(model.bytes, [&](uint32_t field, const Bytes& graph) {
      if (field == onnx_proto::Model::graph) TensorEditor(visit).edit_graph(graph, "", 0);
      return FieldEdit::keep();
    });
  });
  size_t bytes = 0;
  for (const std::string& location : locations) {
    std::error_code error;
    const auto size = std::filesystem::file_size(std::filesystem::path(folder_of(model.path)) / location, error);
    if (!error) bytes += size;
  }
  return bytes;
}

ByteRope edit_onnx(const OnnxModel& model, const OnnxEdit& edit) {
  // Tensors smaller than this stay in the model: sizes and scales are read by whoever looks at the graph alone.
  constexpr size_t smallest_external = 1024;
  const std::string folder = folder_of(model.path);
  const TensorEditor::Visit visit = [&](const std::string& path, const std::string& name, const Bytes& message) {
    const bool was_external = has_external_data(message.text());
    if (!edit.tensor_data && !was_external && edit.external == nullptr) return FieldEdit::keep();
    const NamedTensor tensor = tensor_at(model, path, name, message, folder);
    std::optional<Bytes> data;
    if (edit.tensor_data) data = edit.tensor_data(tensor);
    const Bytes& present = data ? *data : tensor.tensor.data;
    if (edit.external != nullptr && present.size() >= smallest_external)
      return FieldEdit::replace(with_external_reference(message, edit.external->add(present)));
    if (!data && was_external) data = tensor.tensor.data;
    return data ? FieldEdit::replace(with_tensor_data(message, *data)) : FieldEdit::keep();
  };
  return decoding("the model", [&] {
    std::map<std::string, std::string> added = edit.metadata;
    ByteRope result = edit_message(model.bytes, [&](uint32_t field, const Bytes& payload) {
      if (field == onnx_proto::Model::graph) return TensorEditor(visit).edit_graph(payload, "", 0);
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
