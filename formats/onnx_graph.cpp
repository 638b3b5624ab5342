#include <filesystem>
#include <unordered_set>

#include "formats/onnx_model.hpp"
#include "formats/onnx_proto.hpp"
#include "formats/onnx_tensor.hpp"
#include "formats/protobuf.hpp"
#include "src/core/error.hpp"
#include "src/graph/passes/normalize_opset.hpp"

namespace pare {
namespace {

// AttributeProto.AttributeType; files before IR 2 leave the type out, and the field that is present tells it.
enum class AttributeType : int32_t {
  undefined = 0,
  real = 1,
  integer = 2,
  text = 3,
  tensor = 4,
  reals = 6,
  integers = 7,
  texts = 8
};

struct AttributeFields {
  std::string name;
  AttributeType type = AttributeType::undefined;
  float real = 0;
  int64_t integer = 0;
  std::string text;
  std::optional<Tensor> tensor;
  std::vector<float> reals;
  std::vector<int64_t> integers;
  std::vector<std::string> texts;

  // nullopt for subgraphs, types and sparse tensors: ops that need them are not in the op table.
  std::optional<Attribute> value() const {
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
};

class GraphReader {
 public:
  explicit GraphReader(const OnnxModel& model)
      : model_(model), folder_(std::filesystem::path(model.path).parent_path().string()) {}

  Graph read() {
    const auto opset = model_.opsets.find("");
    graph_.opset = opset == model_.opsets.end() ? 0 : opset->second;
    graph_.ir_version = model_.ir_version;
    auto model = reader_of(model_.bytes.text());
    while (model.next(onnx_proto::Model::graph)) {
      const std::string_view message = payload_of(model);
      read_declarations(message);
      read_nodes(message);
    }
    return std::move(graph_);
  }

 private:
  ValueId value_named(const std::string& name) {
    if (name.empty()) return no_value;
    const ValueId known = graph_.find(name);
    return known != no_value ? known : graph_.add_value(name);
  }

  void read_declarations(std::string_view message) {
    std::vector<Port> inputs;
    auto reader = reader_of(message);
    while (reader.next()) {
      switch (reader.tag()) {
        case onnx_proto::Graph::name:
          graph_.name = reader.get_string();
          break;
        case onnx_proto::Graph::input:
          inputs.push_back(read_port(payload_of(reader)));
          break;
        case onnx_proto::Graph::output:
          graph_.outputs.push_back(read_port(payload_of(reader)));
          break;
        case onnx_proto::Graph::value_info:
          read_port(payload_of(reader));
          break;
        case onnx_proto::Graph::initializer:
          read_initializer(payload_of(reader));
          break;
        case onnx_proto::Graph::sparse_initializer:
          fail_input("graph: sparse initializers are not supported");
          break;
        default:
          reader.skip();
      }
    }
    // Before IR 4 every initializer is listed as an input too.
    for (Port& input : inputs)
      if (!graph_.value(input.value).constant) graph_.inputs.push_back(std::move(input));
  }

  void read_initializer(std::string_view message) {
    NamedTensor read = read_tensor(model_.bytes, message, folder_);
    if (read.name.empty()) fail_input("graph: an initializer has no name");
    Value& value = graph_.value(value_named(read.name));
    if (value.constant) fail_input("value '{}' is defined twice", read.name);
    value.dtype = read.tensor.dtype;
    value.shape = read.tensor.shape;
    value.constant = std::move(read.tensor);
  }

  static Dim read_dim(std::string_view message) {
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
    // Exporters write 0 and negative sizes for "any".
    if (dim.size < 0) dim.size = -1;
    return dim;
  }

  static void read_tensor_type(std::string_view message, Port& port, DType& dtype) {
    auto reader = reader_of(message);
    while (reader.next()) {
      if (reader.tag() == onnx_proto::TensorType::elem_type) {
        dtype = static_cast<DType>(reader.get_int32());
      } else if (reader.tag() == onnx_proto::TensorType::shape) {
        port.ranked = true;
        auto shape = reader_of(payload_of(reader));
        while (shape.next(onnx_proto::TensorShape::dim)) port.dims.push_back(read_dim(payload_of(shape)));
      } else {
        reader.skip();
      }
    }
  }

  Port read_port(std::string_view message) {
    Port port;
    std::string name;
    DType dtype = DType::undefined;
    auto reader = reader_of(message);
    while (reader.next()) {
      if (reader.tag() == onnx_proto::ValueInfo::name) {
        name = reader.get_string();
      } else if (reader.tag() == onnx_proto::ValueInfo::type) {
        auto type = reader_of(payload_of(reader));
        while (type.next(onnx_proto::Type::tensor_type)) read_tensor_type(payload_of(type), port, dtype);
      } else {
        reader.skip();
      }
    }
    if (name.empty()) fail_input("graph: an input or output has no name");
    port.value = value_named(name);
    Value& value = graph_.value(port.value);
    if (!value.constant) {
      if (dtype != DType::undefined) value.dtype = dtype;
      if (port.ranked && !value.shape) {
        value.shape.emplace();
        for (const Dim& dim : port.dims) value.shape->push_back(dim.size);
      }
    }
    return port;
  }

  AttributeFields read_attribute(std::string_view message) {
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
          fields.tensor = read_tensor(model_.bytes, payload_of(reader), folder_).tensor;
          seen = AttributeType::tensor;
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

  void read_nodes(std::string_view message) {
    auto reader = reader_of(message);
    while (reader.next(onnx_proto::Graph::node)) read_node(payload_of(reader));
  }

  void read_node(std::string_view message) {
    Node node;
    auto reader = reader_of(message);
    while (reader.next()) {
      switch (reader.tag()) {
        case onnx_proto::Node::input:
          node.inputs.push_back(value_named(reader.get_string()));
          break;
        case onnx_proto::Node::output:
          node.outputs.push_back(value_named(reader.get_string()));
          break;
        case onnx_proto::Node::name:
          node.name = reader.get_string();
          break;
        case onnx_proto::Node::op_type:
          node.op = reader.get_string();
          break;
        case onnx_proto::Node::domain:
          node.domain = reader.get_string();
          break;
        case onnx_proto::Node::attribute: {
          const AttributeFields fields = read_attribute(payload_of(reader));
          if (auto value = fields.value()) node.attributes.insert_or_assign(fields.name, std::move(*value));
          break;
        }
        default:
          reader.skip();
      }
    }
    if (node.domain == "ai.onnx") node.domain.clear();
    if (node.name.empty() || !node_names_.insert(node.name).second) {
      node.name = fmt::format("{}_{}", node.op, graph_.nodes.size());
      node_names_.insert(node.name);
    }
    if (!become_constant(node)) graph_.nodes.push_back(std::move(node));
  }

  // A Constant node becomes a constant value. False for other nodes, and for strings.
  bool become_constant(const Node& node) {
    if (node.op != "Constant" || !node.domain.empty()) return false;
    if (node.outputs.size() != 1 || node.attributes.size() != 1)
      fail_input("{}: needs one output and one value", node.label());
    std::optional<Tensor> tensor;
    const Attribute& attribute = node.attributes.begin()->second;
    if (const auto* given = std::get_if<Tensor>(&attribute)) tensor = *given;
    if (const auto* real = std::get_if<float>(&attribute)) tensor = Tensor::of<float>(DType::float32, {}, {*real});
    if (const auto* integer = std::get_if<int64_t>(&attribute))
      tensor = Tensor::of<int64_t>(DType::int64, {}, {*integer});
    if (const auto* reals = std::get_if<std::vector<float>>(&attribute))
      tensor = Tensor::of<float>(DType::float32, {static_cast<int64_t>(reals->size())}, *reals);
    if (const auto* integers = std::get_if<std::vector<int64_t>>(&attribute))
      tensor = Tensor::of<int64_t>(DType::int64, {static_cast<int64_t>(integers->size())}, *integers);
    if (!tensor) return false;
    Value& value = graph_.value(node.outputs[0]);
    if (value.constant) fail_input("value '{}' is defined twice", value.name);
    value.dtype = tensor->dtype;
    value.shape = tensor->shape;
    value.constant = std::move(*tensor);
    return true;
  }

  const OnnxModel& model_;
  std::string folder_;
  Graph graph_;
  std::unordered_set<std::string> node_names_;
};

}  // namespace

Graph read_graph(const OnnxModel& model) {
  Graph graph = [&] {
    try {
      return GraphReader(model).read();
    } catch (const protozero::exception& error) {
      fail_input("the graph is malformed ({})", error.what());
    }
  }();
  verify(graph);
  normalize_opset(graph);
  verify(graph);
  return graph;
}

}  // namespace pare
