#include "formats/onnx_writer.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <unordered_set>

#include "formats/onnx_message.hpp"
#include "formats/onnx_proto.hpp"
#include "formats/protobuf.hpp"
#include "src/core/error.hpp"
#include "src/graph/subgraph.hpp"

namespace pare {
namespace {

// AttributeProto.AttributeType of each alternative of Attribute, in its order.
constexpr std::array<int32_t, std::variant_size_v<Attribute>> attribute_types = {2, 1, 3, 7, 6, 8, 4, 5, 0};

// A message that mixes small fields with large ones that are aliased.
class Message {
 public:
  protozero::pbf_writer small() { return protozero::pbf_writer(text_); }

  void add(uint32_t number, const ByteRope& content) {
    flush();
    rope_.append(length_delimited(number, content));
  }

  ByteRope finish() {
    flush();
    return std::move(rope_);
  }

 private:
  void flush() {
    if (!text_.empty()) rope_.append(std::exchange(text_, {}));
  }

  std::string text_;
  ByteRope rope_;
};

ByteRope tensor_message(const std::string& name, const Tensor& tensor) {
  if (tensor.dtype == DType::string)
    fail_input("tensor '{}': string tensors cannot be written in a changed graph", name);
  Message message;
  protozero::pbf_writer small = message.small();
  small.add_packed_int64(onnx_proto::Tensor::dims, tensor.shape.begin(), tensor.shape.end());
  small.add_int32(onnx_proto::Tensor::data_type, static_cast<int32_t>(tensor.dtype));
  if (!name.empty()) small.add_string(onnx_proto::Tensor::name, name);
  ByteRope raw;
  raw.append(tensor.data);
  message.add(onnx_proto::Tensor::raw_data, raw);
  return message.finish();
}

// Names of values without one must be new in the graph and in all graphs inside and around it.
std::unordered_set<std::string> names_in(const Graph& graph) {
  std::unordered_set<std::string> names;
  for_each_graph(graph, [&](const Graph& part) {
    for (const Value& value : part.values) names.insert(value.name);
  });
  return names;
}

class GraphWriter {
 public:
  // `taken` are the names in use; `captured` those of the values around that the graph's last inputs stand for.
  GraphWriter(const Graph& graph, std::unordered_set<std::string>& taken, const std::vector<std::string>& captured)
      : graph_(graph), taken_(taken), captured_(captured.size()), names_(graph.values.size()) {
    for (size_t i = 0; i < captured_; ++i)
      names_[static_cast<size_t>(graph.inputs[graph.inputs.size() - captured_ + i].value)] = captured[i];
    name_values();
  }

  ByteRope write() {
    using Proto = onnx_proto::Graph;
    Message message;
    for (const Node& node : graph_.nodes) message.add(Proto::node, node_message(node));
    const std::vector<std::string> outputs = write_outputs(message);
    message.small().add_string(Proto::name, graph_.name.empty() ? "graph" : graph_.name);
    for (const ValueId id : read_constants())
      message.add(Proto::initializer, tensor_message(name_of(id), *graph_.value(id).constant));
    for (size_t i = 0; i + captured_ < graph_.inputs.size(); ++i)
      message.small().add_message(Proto::input, port_message(graph_.inputs[i], name_of(graph_.inputs[i].value)));
    for (size_t i = 0; i < graph_.outputs.size(); ++i)
      message.small().add_message(Proto::output, port_message(graph_.outputs[i], outputs[i]));
    return message.finish();
  }

 private:
  const std::string& name_of(ValueId id) const {
    static const std::string absent;
    return id == no_value ? absent : names_[static_cast<size_t>(id)];
  }

  void name_values() {
    for (size_t id = 0; id < names_.size(); ++id) {
      if (names_[id].empty()) names_[id] = graph_.values[id].name;
      for (size_t number = id; names_[id].empty(); ++number) {
        std::string candidate = fmt::format("value_{}", number);
        if (taken_.insert(candidate).second) names_[id] = std::move(candidate);
      }
    }
  }

  // In the order of the values, so that equal graphs give equal bytes.
  std::set<ValueId> read_constants() const {
    std::set<ValueId> read;
    const auto add = [&](ValueId id) {
      if (id != no_value && graph_.value(id).constant) read.insert(id);
    };
    for (const Node& node : graph_.nodes)
      for (const ValueId input : node.inputs) add(input);
    for (const Port& output : graph_.outputs) add(output.value);
    return read;
  }

  // The names of the outputs. A subgraph must produce its own: for a value that it captured, it gets an Identity.
  std::vector<std::string> write_outputs(Message& message) {
    const size_t own = graph_.inputs.size() - captured_;
    std::vector<std::string> names;
    for (const Port& output : graph_.outputs) {
      names.push_back(name_of(output.value));
      const bool is_captured =
          std::any_of(graph_.inputs.begin() + static_cast<std::ptrdiff_t>(own), graph_.inputs.end(),
                      [&](const Port& input) { return input.value == output.value; });
      if (!is_captured) continue;
      for (size_t number = 0; !taken_.insert(names.back()).second; ++number)
        names.back() = fmt::format("{}_{}", name_of(output.value), number);
      std::string node;
      protozero::pbf_writer writer(node);
      writer.add_string(onnx_proto::Node::input, name_of(output.value));
      writer.add_string(onnx_proto::Node::output, names.back());
      writer.add_string(onnx_proto::Node::name, names.back());
      writer.add_string(onnx_proto::Node::op_type, "Identity");
      message.small().add_message(onnx_proto::Graph::node, node);
    }
    return names;
  }

  ByteRope node_message(const Node& node) const {
    using Proto = onnx_proto::Node;
    Message message;
    protozero::pbf_writer small = message.small();
    for (size_t i = 0; i + node.captured < node.inputs.size(); ++i)
      small.add_string(Proto::input, name_of(node.inputs[i]));
    for (const ValueId output : node.outputs) small.add_string(Proto::output, name_of(output));
    small.add_string(Proto::name, node.name);
    small.add_string(Proto::op_type, node.op);
    for (const auto& [name, value] : node.attributes) {
      if (const auto* opaque = std::get_if<OpaqueAttribute>(&value)) {
        ByteRope content;
        content.append(opaque->message);
        message.add(Proto::attribute, content);
      } else if (const auto* body = std::get_if<Subgraph>(&value)) {
        message.add(Proto::attribute, subgraph_message(name, **body, node));
      } else {
        message.add(Proto::attribute, attribute_message(name, value));
      }
    }
    if (!node.domain.empty()) message.small().add_string(Proto::domain, node.domain);
    return message.finish();
  }

  ByteRope subgraph_message(const std::string& name, const Graph& body, const Node& node) const {
    std::vector<std::string> captured;
    for (size_t i = node.inputs.size() - node.captured; i < node.inputs.size(); ++i)
      captured.push_back(name_of(node.inputs[i]));
    Message message;
    message.small().add_string(onnx_proto::Attribute::name, name);
    message.add(onnx_proto::Attribute::g, GraphWriter(body, taken_, captured).write());
    message.small().add_enum(onnx_proto::Attribute::type, 5);
    return message.finish();
  }

  static ByteRope attribute_message(const std::string& name, const Attribute& attribute) {
    using Proto = onnx_proto::Attribute;
    Message message;
    protozero::pbf_writer small = message.small();
    small.add_string(Proto::name, name);
    if (const auto* real = std::get_if<float>(&attribute)) small.add_float(Proto::f, *real);
    if (const auto* integer = std::get_if<int64_t>(&attribute)) small.add_int64(Proto::i, *integer);
    if (const auto* text = std::get_if<std::string>(&attribute)) small.add_bytes(Proto::s, *text);
    if (const auto* tensor = std::get_if<Tensor>(&attribute)) message.add(Proto::t, tensor_message("", *tensor));
    // Not packed: the schema is proto2's, whose writers repeat the tag.
    if (const auto* reals = std::get_if<std::vector<float>>(&attribute))
      for (const float value : *reals) small.add_float(Proto::floats, value);
    if (const auto* integers = std::get_if<std::vector<int64_t>>(&attribute))
      for (const int64_t value : *integers) small.add_int64(Proto::ints, value);
    if (const auto* texts = std::get_if<std::vector<std::string>>(&attribute))
      for (const std::string& text : *texts) small.add_bytes(Proto::strings, text);
    message.small().add_enum(Proto::type, attribute_types[attribute.index()]);
    return message.finish();
  }

  std::string port_message(const Port& port, const std::string& name) const {
    std::string shape;
    for (const Dim& dim : port.dims) {
      std::string size;
      if (dim.size >= 0) protozero::pbf_writer(size).add_int64(onnx_proto::Dimension::dim_value, dim.size);
      else if (!dim.symbol.empty())
        protozero::pbf_writer(size).add_string(onnx_proto::Dimension::dim_param, dim.symbol);
      protozero::pbf_writer(shape).add_message(onnx_proto::TensorShape::dim, size);
    }
    std::string tensor_type;
    protozero::pbf_writer tensor_writer(tensor_type);
    tensor_writer.add_int32(onnx_proto::TensorType::elem_type, static_cast<int32_t>(graph_.value(port.value).dtype));
    if (port.ranked) tensor_writer.add_message(onnx_proto::TensorType::shape, shape);
    std::string type;
    protozero::pbf_writer(type).add_message(onnx_proto::Type::tensor_type, tensor_type);
    std::string info;
    protozero::pbf_writer writer(info);
    writer.add_string(onnx_proto::ValueInfo::name, name);
    // Subgraphs may leave types to inference.
    if (graph_.value(port.value).dtype != DType::undefined) writer.add_message(onnx_proto::ValueInfo::type, type);
    return info;
  }

  const Graph& graph_;
  std::unordered_set<std::string>& taken_;
  size_t captured_;
  std::vector<std::string> names_;
};

std::string opset_message(const std::string& domain, int64_t version) {
  std::string message;
  protozero::pbf_writer writer(message);
  writer.add_string(onnx_proto::OperatorSetId::domain, domain);
  writer.add_int64(onnx_proto::OperatorSetId::version, version);
  return message;
}

// The opsets of the domains that the graph's nodes use.
std::map<std::string, int64_t> opsets_of(const Graph& graph, const OnnxModel& origin) {
  std::map<std::string, int64_t> opsets = {{"", std::max(semantics_opset, graph.opset)}};
  for_each_graph(graph, [&](const Graph& part) {
    for (const Node& node : part.nodes) {
      if (node.domain.empty()) continue;
      const auto given = origin.opsets.find(node.domain);
      opsets[node.domain] = given == origin.opsets.end() ? 1 : given->second;
    }
  });
  return opsets;
}

// The fields of the ModelProto that the graph does not decide.
ByteRope other_fields(const Bytes& model) {
  using Proto = onnx_proto::Model;
  static const std::set<uint32_t> decided = {Proto::ir_version, Proto::graph, Proto::opset_import, Proto::functions};
  ByteRope kept;
  protozero::pbf_reader reader = reader_of(model.text());
  while (true) {
    const char* start = reader.data().data();
    if (!reader.next()) return kept;
    const uint32_t number = reader.tag();
    reader.skip();
    if (!decided.contains(number)) kept.append(model.part({start, static_cast<size_t>(reader.data().data() - start)}));
  }
}

}  // namespace

ByteRope write_graph(const Graph& graph, const OnnxModel& origin) {
  using Proto = onnx_proto::Model;
  Message message;
  message.small().add_int64(Proto::ir_version, std::max(written_ir_version, origin.ir_version));
  std::unordered_set<std::string> taken = names_in(graph);
  message.add(Proto::graph, GraphWriter(graph, taken, {}).write());
  for (const auto& [domain, version] : opsets_of(graph, origin))
    message.small().add_message(Proto::opset_import, opset_message(domain, version));
  ByteRope result = message.finish();
  result.append(other_fields(origin.bytes));
  return result;
}

OnnxModel with_graph(const OnnxModel& origin, const Graph& graph) {
  return open_onnx(write_graph(graph, origin).flatten(), origin.path);
}

}  // namespace pare
