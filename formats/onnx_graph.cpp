#include <algorithm>
#include <filesystem>
#include <unordered_set>

#include "formats/onnx_attribute.hpp"
#include "formats/onnx_function.hpp"
#include "formats/onnx_model.hpp"
#include "formats/onnx_order.hpp"
#include "formats/onnx_proto.hpp"
#include "formats/onnx_tensor.hpp"
#include "formats/protobuf.hpp"
#include "src/core/error.hpp"
#include "src/graph/element_types.hpp"
#include "src/graph/passes/expand_fused.hpp"
#include "src/graph/passes/expand_sequences.hpp"
#include "src/graph/passes/inline_graph.hpp"
#include "src/graph/passes/normalize_opset.hpp"

namespace pare {
namespace {

// Subgraphs in subgraphs, and functions that call functions.
constexpr int deepest_nesting = 50;

// What all graphs of a model share while they are read.
struct Source {
  const OnnxModel& model;
  std::string folder;
  Functions functions;
  int64_t opset = 0;
  std::unordered_set<std::string> node_names;
  // Functions that call functions could make more nodes than any memory holds.
  size_t inlined_nodes_left = 0;
};

// A call of a local function while its body is read.
struct FunctionCall {
  Attributes attributes;
  int64_t opset = 0;
};

Port port_of(ValueId value, const ValueInfo& info) { return {value, info.dims, info.ranked}; }

// A float constant that training may change: it belongs to the model's graph even where a subgraph defines it.
bool is_weight(const Tensor& tensor) { return is_float(tensor.dtype) && tensor.elements() > 1; }

class GraphReader {
 public:
  // `outer` is the reader of the graph around a subgraph, `path` what the names of its weights begin with, `call` the
  // function call that is being read.
  GraphReader(Source& source, GraphReader* outer, std::string path, int depth, const FunctionCall* call)
      : source_(source), outer_(outer), path_(std::move(path)), depth_(depth), call_(call) {
    if (depth > deepest_nesting) fail_input("graph: subgraphs or functions nest deeper than {}", deepest_nesting);
    graph_.opset = call != nullptr ? call->opset : source.opset;
    graph_.ir_version = source.model.ir_version;
  }

  Graph read_model() {
    auto model = reader_of(source_.model.bytes.text());
    while (model.next(onnx_proto::Model::graph)) read_graph_message(payload_of(model));
    Graph graph = finished();
    complete_output_types(graph);
    return graph;
  }

 private:
  // A value of this graph that a subgraph's value stands for.
  struct Capture {
    ValueId inner = no_value;
    ValueId outer = no_value;
  };

  Graph finished() {
    verify(graph_);
    normalize_opset(graph_);
    expand_fused(graph_);
    expand_sequences(graph_);
    verify(graph_);
    return std::move(graph_);
  }

  // --- values by name ---

  ValueId find(const std::string& name) const {
    const auto alias = aliases_.find(name);
    return alias != aliases_.end() ? alias->second : graph_.find(name);
  }

  ValueId capture(ValueId outer, const std::string& name) {
    const Value& source = outer_->graph_.value(outer);
    const ValueId inner = graph_.add_value(graph_.find(name) == no_value ? name : "");
    graph_.value(inner).dtype = source.dtype;
    graph_.value(inner).shape = source.shape;
    captures_.push_back({inner, outer});
    return inner;
  }

  // The value of that name in this graph or one around it; no_value when there is none.
  ValueId find_visible(const std::string& name) {
    const ValueId local = find(name);
    if (local != no_value || outer_ == nullptr) return local;
    const ValueId outer = outer_->find_visible(name);
    return outer == no_value ? no_value : capture(outer, name);
  }

  ValueId read_value(const std::string& name) {
    if (name.empty()) return no_value;
    const ValueId known = find_visible(name);
    return known != no_value ? known : graph_.add_value(name);
  }

  ValueId written_value(const std::string& name) {
    if (name.empty()) return no_value;
    const ValueId known = find(name);
    return known != no_value ? known : graph_.add_value(name);
  }

  ValueId add_weight(const std::string& name, const Tensor& tensor) {
    if (outer_ != nullptr) return capture(outer_->add_weight(name, tensor), name);
    const ValueId id = graph_.add_value(name);
    set_constant(id, tensor);
    return id;
  }

  void set_constant(ValueId id, Tensor tensor) {
    Value& value = graph_.value(id);
    if (value.constant) fail_input("value '{}' is defined twice", value.name);
    value.dtype = tensor.dtype;
    value.shape = tensor.shape;
    value.constant = std::move(tensor);
  }

  void define_constant(const std::string& name, Tensor tensor) {
    if (outer_ == nullptr || call_ != nullptr || !is_weight(tensor))
      return set_constant(written_value(name), std::move(tensor));
    if (find(name) != no_value) fail_input("value '{}' is defined twice", name);
    aliases_[name] = add_weight(path_ + name, tensor);
  }

  // --- a GraphProto ---

  void read_graph_message(std::string_view message) {
    std::vector<ValueInfo> inputs;
    auto reader = reader_of(message);
    while (reader.next()) {
      switch (reader.tag()) {
        case onnx_proto::Graph::name:
          graph_.name = reader.get_string();
          break;
        case onnx_proto::Graph::input:
          inputs.push_back(read_value_info(payload_of(reader)));
          break;
        case onnx_proto::Graph::initializer:
          read_initializer(read_tensor(source_.model.bytes, payload_of(reader), source_.folder));
          break;
        case onnx_proto::Graph::sparse_initializer:
          read_initializer(read_sparse_tensor(source_.model.bytes, payload_of(reader), source_.folder));
          break;
        default:
          reader.skip();
      }
    }
    for (const ValueInfo& input : inputs) add_input(input);
    std::vector<std::string_view> nodes;
    auto parts = reader_of(message);
    while (parts.next(onnx_proto::Graph::node)) nodes.push_back(payload_of(parts));
    for (const std::string_view node : in_topological_order(std::move(nodes))) read_node(node);
    read_results(message);
  }

  void read_initializer(NamedTensor read) {
    if (read.name.empty()) fail_input("graph: an initializer has no name");
    define_constant(read.name, std::move(read.tensor));
  }

  void add_input(const ValueInfo& info) {
    if (info.name.empty()) fail_input("graph: an input or output has no name");
    const ValueId id = written_value(info.name);
    // Before IR 4 every initializer is listed as an input too.
    if (graph_.value(id).constant) return;
    apply(info, id);
    graph_.inputs.push_back(port_of(id, info));
  }

  // Outputs, and what the file says of values in between.
  void read_results(std::string_view message) {
    auto reader = reader_of(message);
    while (reader.next()) {
      if (reader.tag() == onnx_proto::Graph::output) {
        const ValueInfo info = read_value_info(payload_of(reader));
        if (info.name.empty()) fail_input("graph: an input or output has no name");
        const ValueId id = read_value(info.name);
        apply(info, id);
        graph_.outputs.push_back(port_of(id, info));
      } else if (reader.tag() == onnx_proto::Graph::value_info) {
        const ValueInfo info = read_value_info(payload_of(reader));
        if (const ValueId id = find(info.name); id != no_value) apply(info, id);
      } else {
        reader.skip();
      }
    }
  }

  void apply(const ValueInfo& info, ValueId id) {
    Value& value = graph_.value(id);
    if (value.constant) return;
    if (info.dtype != DType::undefined) value.dtype = info.dtype;
    if (!info.ranked || value.shape) return;
    value.shape.emplace();
    for (const Dim& dim : info.dims) value.shape->push_back(dim.size);
  }

  // --- a NodeProto ---

  struct NodeFields {
    std::vector<std::string> inputs;
    std::vector<std::string> outputs;
    std::vector<std::string_view> attributes;
    std::string overload;
    Node node;
  };

  static NodeFields read_node_fields(std::string_view message) {
    NodeFields fields;
    auto reader = reader_of(message);
    while (reader.next()) {
      switch (reader.tag()) {
        case onnx_proto::Node::input:
          fields.inputs.push_back(reader.get_string());
          break;
        case onnx_proto::Node::output:
          fields.outputs.push_back(reader.get_string());
          break;
        case onnx_proto::Node::name:
          fields.node.name = reader.get_string();
          break;
        case onnx_proto::Node::op_type:
          fields.node.op = reader.get_string();
          break;
        case onnx_proto::Node::domain:
          fields.node.domain = reader.get_string();
          break;
        case onnx_proto::Node::overload:
          fields.overload = reader.get_string();
          break;
        case onnx_proto::Node::attribute:
          fields.attributes.push_back(payload_of(reader));
          break;
        default:
          reader.skip();
      }
    }
    if (fields.node.domain == "ai.onnx") fields.node.domain.clear();
    return fields;
  }

  void read_node(std::string_view message) {
    NodeFields fields = read_node_fields(message);
    Node& node = fields.node;
    if (node.op.empty()) fail_input("node '{}' has no operator", node.name);
    name_node(node);
    for (const std::string& input : fields.inputs) node.inputs.push_back(read_value(input));
    with_context_of(node, [&] { read_attributes(fields); });
    if (become_constant(fields)) return;
    for (const std::string& output : fields.outputs) node.outputs.push_back(written_value(output));
    const auto function = source_.functions.find({node.domain, node.op, fields.overload});
    if (function != source_.functions.end()) call_function(node, function->second);
    else graph_.nodes.push_back(std::move(node));
  }

  void name_node(Node& node) {
    if (!node.name.empty() && source_.node_names.insert(node.name).second) return;
    node.name = fmt::format("{}_{}", node.op, source_.node_names.size());
    while (!source_.node_names.insert(node.name).second) node.name += "_";
  }

  template <class Body>
  static void with_context_of(const Node& node, Body&& body) {
    with_context(node.label(), std::forward<Body>(body));
  }

  void read_attributes(NodeFields& fields) {
    std::vector<std::pair<std::string, std::string_view>> bodies;
    for (const std::string_view message : fields.attributes) {
      AttributeFields attribute = read_attribute(source_.model.bytes, message, source_.folder);
      if (!attribute.reference.empty()) {
        refer(fields.node, attribute);
      } else if (attribute.type == AttributeType::graph && attribute.graph) {
        bodies.emplace_back(attribute.name, *attribute.graph);
      } else if (auto value = attribute.value()) {
        fields.node.attributes.insert_or_assign(attribute.name, std::move(*value));
      } else {
        fields.node.attributes.insert_or_assign(attribute.name, OpaqueAttribute{source_.model.bytes.part(message)});
      }
    }
    read_bodies(fields, bodies);
  }

  // Inside a function, an attribute may be that of the call; one that the call leaves out is left out.
  void refer(Node& node, const AttributeFields& attribute) {
    if (call_ == nullptr)
      fail_input("attribute '{}' refers to '{}' of a function, outside of one", attribute.name, attribute.reference);
    const auto given = call_->attributes.find(attribute.reference);
    if (given != call_->attributes.end()) node.attributes.insert_or_assign(attribute.name, given->second);
  }

  void read_bodies(NodeFields& fields, const std::vector<std::pair<std::string, std::string_view>>& bodies) {
    std::vector<GraphReader> readers;
    readers.reserve(bodies.size());
    std::vector<ValueId> captured;
    for (const auto& [name, message] : bodies) {
      const std::string path = fmt::format("{}{}/{}/", path_, fields.outputs.empty() ? "" : fields.outputs[0], name);
      GraphReader& body = readers.emplace_back(source_, this, path, depth_ + 1, call_);
      body.read_graph_message(message);
      for (const Capture& capture : body.captures_)
        if (std::find(captured.begin(), captured.end(), capture.outer) == captured.end())
          captured.push_back(capture.outer);
    }
    for (size_t i = 0; i < bodies.size(); ++i) {
      for (const ValueId outer : captured) readers[i].add_captured_input(outer);
      fields.node.attributes.insert_or_assign(bodies[i].first, std::make_shared<const Graph>(readers[i].finished()));
    }
    fields.node.inputs.insert(fields.node.inputs.end(), captured.begin(), captured.end());
    fields.node.captured = captured.size();
  }

  void add_captured_input(ValueId outer) {
    auto found = std::find_if(captures_.begin(), captures_.end(),
                              [&](const Capture& capture) { return capture.outer == outer; });
    const ValueId inner = found != captures_.end() ? found->inner : capture(outer, "");
    Port port{inner, {}, graph_.value(inner).shape.has_value()};
    for (const int64_t size : graph_.value(inner).shape.value_or(Shape{})) port.dims.push_back({size, ""});
    graph_.inputs.push_back(std::move(port));
  }

  // --- nodes that are not kept as such ---

  void call_function(const Node& call, const Function& function) {
    with_context_of(call, [&] {
      if (call.captured > 0) fail_input("subgraphs as attributes of a local function are not supported");
      if (function.nodes.size() >= source_.inlined_nodes_left)
        fail_input("the local functions call each other too often");
      source_.inlined_nodes_left -= function.nodes.size() + 1;
      FunctionCall inner{function.defaults, function.opset != 0 ? function.opset : source_.opset};
      for (const auto& [name, value] : call.attributes) inner.attributes.insert_or_assign(name, value);
      GraphReader body(source_, nullptr, "", depth_ + 1, &inner);
      std::vector<Node> nodes;
      inline_graph(graph_, body.read_function(function), call, call.inputs, nodes);
      for (Node& node : nodes) graph_.nodes.push_back(std::move(node));
    });
  }

  Graph read_function(const Function& function) {
    for (const std::string& input : function.inputs) {
      const ValueId id = written_value(input);
      if (id == no_value) fail_input("an input of the function has no name");
      graph_.inputs.push_back({id, {}, false});
    }
    for (const std::string_view node : function.nodes) read_node(node);
    for (const std::string& output : function.outputs) {
      const ValueId id = read_value(output);
      if (id == no_value) fail_input("an output of the function has no name");
      graph_.outputs.push_back({id, {}, false});
    }
    // Constants of functions are no tensors of the model that training could give back to the file.
    for (Value& value : graph_.values)
      if (value.constant) value.name.clear();
    return finished();
  }

  // A Constant node becomes a constant value. False for other nodes, and for strings.
  bool become_constant(const NodeFields& fields) {
    const Node& node = fields.node;
    if (node.op != "Constant" || !node.domain.empty()) return false;
    if (fields.outputs.size() != 1 || fields.outputs[0].empty() || node.attributes.size() != 1)
      fail_input("{}: needs one output and one value", node.label());
    const auto& [name, attribute] = *node.attributes.begin();
    std::optional<Tensor> tensor;
    if (const auto* given = std::get_if<Tensor>(&attribute)) tensor = *given;
    if (const auto* real = std::get_if<float>(&attribute)) tensor = Tensor::of<float>(DType::float32, {}, {*real});
    if (const auto* integer = std::get_if<int64_t>(&attribute))
      tensor = Tensor::of<int64_t>(DType::int64, {}, {*integer});
    if (const auto* reals = std::get_if<std::vector<float>>(&attribute))
      tensor = Tensor::of<float>(DType::float32, {static_cast<int64_t>(reals->size())}, *reals);
    if (const auto* integers = std::get_if<std::vector<int64_t>>(&attribute))
      tensor = Tensor::of<int64_t>(DType::int64, {static_cast<int64_t>(integers->size())}, *integers);
    const auto* opaque = std::get_if<OpaqueAttribute>(&attribute);
    if (opaque != nullptr && name == "sparse_value") {
      auto reader = reader_of(opaque->message.text());
      while (reader.next(onnx_proto::Attribute::sparse_tensor))
        tensor = read_sparse_tensor(source_.model.bytes, payload_of(reader), source_.folder).tensor;
    }
    if (!tensor) return false;
    define_constant(fields.outputs[0], std::move(*tensor));
    return true;
  }

  Source& source_;
  GraphReader* outer_;
  std::string path_;
  int depth_;
  const FunctionCall* call_;
  Graph graph_;
  std::vector<Capture> captures_;
  std::unordered_map<std::string, ValueId> aliases_;  // names of weights that moved to the graph around
};

}  // namespace

Graph read_graph(const OnnxModel& model) {
  try {
    Source source{
        model, std::filesystem::path(model.path).parent_path().string(), {}, 0, {}, 10000 + model.bytes.size() / 4};
    source.functions = read_functions(model, source.folder);
    const auto opset = model.opsets.find("");
    source.opset = opset == model.opsets.end() ? 0 : opset->second;
    return GraphReader(source, nullptr, "", 0, nullptr).read_model();
  } catch (const protozero::exception& error) {
    fail_input("the graph is malformed ({})", error.what());
  }
}

}  // namespace pare
