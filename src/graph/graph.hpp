// The model as a graph: values connected by nodes in topological order, with the semantics of ONNX opset 21 whatever
// opset the file had. A view of the file's bytes: constants alias them until they are replaced.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "src/graph/tensor.hpp"

namespace pare {

// Every graph has the semantics of this opset; files that hold a changed graph declare it, or the input's when that is
// newer. IR version 10 is the first that has all of its types.
inline constexpr int64_t semantics_opset = 21;
inline constexpr int64_t written_ir_version = 10;

// Index into Graph::values.
using ValueId = int32_t;
// An optional input or output that is left out.
inline constexpr ValueId no_value = -1;

struct Graph;

// The body of an If, Loop or Scan: a graph of its own. Its inputs are those that the operator gives, and behind them
// the values that it reads from the graph around (Node::captured).
using Subgraph = std::shared_ptr<const Graph>;

// An AttributeProto of a type that no operator of pare reads, as it is in the file.
struct OpaqueAttribute {
  Bytes message;
};

using Attribute = std::variant<int64_t, float, std::string, std::vector<int64_t>, std::vector<float>,
                               std::vector<std::string>, Tensor, Subgraph, OpaqueAttribute>;

struct Node {
  std::string name;    // unique: the file's, or made of op and position where the file gives none
  std::string domain;  // "" is the default domain
  std::string op;
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  std::map<std::string, Attribute, std::less<>> attributes;
  // How many of the inputs, at the end, are values that subgraphs read from this graph. They are inputs like any other
  // for what depends on what; the file does not list them.
  size_t captured = 0;

  bool has(std::string_view attribute) const { return attributes.find(attribute) != attributes.end(); }
  // The attribute's value, or the default where the node does not have it. Throw (exit 3) when it has another type.
  int64_t integer(std::string_view attribute, int64_t otherwise) const;
  float real(std::string_view attribute, float otherwise) const;
  std::string text(std::string_view attribute, std::string_view otherwise) const;
  std::vector<int64_t> integers(std::string_view attribute, std::vector<int64_t> otherwise) const;
  // The subgraph of that name; throws (exit 3) when there is none.
  Subgraph subgraph(std::string_view attribute) const;

  // The input's value, or no_value when it is left out.
  ValueId input(size_t index) const { return index < inputs.size() ? inputs[index] : no_value; }
  // "Conv node 'conv1'": how messages name it.
  std::string label() const;
};

// One dimension: a size, or unknown (-1) with the file's symbol where it has one.
struct Dim {
  int64_t size = -1;
  std::string symbol;
};

struct KnownValue;

struct Value {
  std::string name;
  DType dtype = DType::undefined;
  // Sizes with -1 where unknown; no value when even the rank is unknown.
  std::optional<Shape> shape;
  // An initializer or the result of a Constant node.
  std::optional<Tensor> constant;
  // Elements of a small computed value that follow from shapes and constants; set by infer_shapes (known_value.hpp).
  std::shared_ptr<const KnownValue> known;
};

struct Port {
  ValueId value = no_value;
  std::vector<Dim> dims;
  bool ranked = false;  // false: the file declares no shape
};

struct Graph {
  std::string name;
  int64_t opset = 0;  // of the default domain, as the file declares it
  int64_t ir_version = 0;
  std::vector<Value> values;
  std::vector<Node> nodes;
  std::vector<Port> inputs;  // without initializers
  std::vector<Port> outputs;
  std::unordered_map<std::string, ValueId> by_name;

  // Adds a value; an empty name stays anonymous. Throws (exit 3) when the name exists already.
  ValueId add_value(std::string value_name);
  // The value of that name, or no_value.
  ValueId find(const std::string& value_name) const;
  const Value& value(ValueId id) const { return values[static_cast<size_t>(id)]; }
  Value& value(ValueId id) { return values[static_cast<size_t>(id)]; }
};

// The nodes that read each value, indexed by ValueId.
std::vector<std::vector<const Node*>> consumers_of(const Graph& graph);

// Checks what every pass must keep: ids in range, each value produced once, nodes after their producers, graph outputs
// produced; the same of subgraphs, whose last inputs are the captured ones. Throws (exit 3) naming the node and value.
void verify(const Graph& graph);

}  // namespace pare
