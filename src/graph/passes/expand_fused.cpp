#include "src/graph/passes/expand_fused.hpp"

#include <algorithm>
#include <iterator>
#include <numeric>

#include "src/graph/edit.hpp"
#include "src/graph/node_inputs.hpp"
#include "src/graph/shape_rules.hpp"

namespace pare {
namespace {

// An activation that is fused: the attributes that its parameters are, in their order. Clip's are inputs.
struct Activation {
  std::string_view op;
  std::vector<std::string> parameters;
};

const Activation* find_activation(const std::string& op) {
  static const Activation rows[] = {
      {"Clip", {"min", "max"}},
      {"Elu", {"alpha"}},
      {"HardSigmoid", {"alpha", "beta"}},
      {"HardSwish", {}},
      {"Identity", {}},
      {"LeakyRelu", {"alpha"}},
      {"Relu", {}},
      {"Sigmoid", {}},
      {"Softplus", {}},
      {"Softsign", {}},
      {"Tanh", {}},
      {"ThresholdedRelu", {"alpha"}},
  };
  const auto* found =
      std::find_if(std::begin(rows), std::end(rows), [&](const Activation& row) { return row.op == op; });
  return found == std::end(rows) ? nullptr : found;
}

bool is_fused(const Node& node) {
  return node.domain == "com.microsoft" &&
         (node.op == "FusedConv" || node.op == "FusedGemm" || node.op == "FusedMatMul");
}

// Takes an attribute away from the node.
std::optional<Attribute> taken(Node& node, std::string_view name) {
  const auto found = node.attributes.find(name);
  if (found == node.attributes.end()) return std::nullopt;
  Attribute value = std::move(found->second);
  node.attributes.erase(found);
  return value;
}

// Replaces a node by several that end in its output.
class Expansion {
 public:
  Expansion(Graph& graph, Node node, std::vector<Node>& nodes)
      : graph_(graph), node_(std::move(node)), output_(node_.outputs.at(0)), nodes_(nodes) {
    node_.domain.clear();
  }

  Node& node() { return node_; }

  // The layer itself, under its own name.
  void layer(const std::string& op) {
    node_.op = op;
    const ValueId result = computed();
    node_.outputs = {result};
    nodes_.push_back(node_);
  }

  // What follows it, or with an input that is not the last result, comes before it.
  ValueId add(const std::string& op, std::vector<ValueId> inputs, const std::string& suffix = "") {
    Node node;
    node.op = op;
    node.name = node_.name + "/" + op + suffix;
    node.inputs = std::move(inputs);
    node.outputs = {computed()};
    nodes_.push_back(std::move(node));
    return nodes_.back().outputs[0];
  }

  Node& last() { return nodes_.back(); }
  ValueId result() const { return nodes_.back().outputs[0]; }
  void finish() { nodes_.back().outputs = {output_}; }

  ValueId constant(float value) { return add_constant_value(graph_, node_.name + "/constant", scalar_tensor(value)); }

 private:
  ValueId computed() {
    const ValueId id = graph_.add_value("");
    graph_.value(id).dtype = graph_.value(output_).dtype;
    return id;
  }

  Graph& graph_;
  Node node_;
  ValueId output_;
  std::vector<Node>& nodes_;
};

// The parameters of a FusedConv are a list, those of a FusedGemm attributes of their own.
std::vector<float> activation_parameters(Node& node) {
  std::vector<float> parameters;
  if (const auto list = taken(node, "activation_params"))
    if (const auto* values = std::get_if<std::vector<float>>(&*list)) parameters = *values;
  for (const char* name : {"activation_alpha", "activation_beta", "activation_gamma"})
    if (const auto value = taken(node, name))
      if (const auto* real = std::get_if<float>(&*value)) parameters.push_back(*real);
  return parameters;
}

void expand_layer(Expansion& expansion, const Activation* activation) {
  Node& node = expansion.node();
  const bool convolution = node.op == "FusedConv";
  const std::vector<float> parameters = activation_parameters(node);
  node.attributes.erase("activation");
  const ValueId summand = convolution ? node.input(3) : no_value;
  if (convolution && node.inputs.size() > 3) node.inputs.pop_back();
  expansion.layer(convolution ? "Conv" : "Gemm");
  if (summand != no_value) expansion.add("Add", {expansion.result(), summand});
  if (activation != nullptr) {
    const std::string op(activation->op);
    std::vector<ValueId> inputs{expansion.result()};
    const size_t count = std::min(parameters.size(), activation->parameters.size());
    for (size_t i = 0; op == "Clip" && i < count; ++i) inputs.push_back(expansion.constant(parameters[i]));
    expansion.add(op, std::move(inputs));
    for (size_t i = 0; op != "Clip" && i < count; ++i)
      expansion.last().attributes[activation->parameters[i]] = parameters[i];
  }
  expansion.finish();
}

// The order of the axes that the operand is multiplied in: the first goes behind the batch, then the last two change.
std::vector<int64_t> order_of(size_t rank, bool moved, bool transposed) {
  std::vector<int64_t> order(rank);
  std::iota(order.begin(), order.end(), 0);
  if (rank < 2) return order;
  if (moved) std::rotate(order.begin(), order.begin() + 1, order.end() - 1);
  if (transposed) std::swap(order[rank - 1], order[rank - 2]);
  return order;
}

void expand_product(Expansion& expansion, const std::vector<size_t>& ranks) {
  Node& node = expansion.node();
  const char* const moved[] = {"transBatchA", "transBatchB"};
  const char* const transposed[] = {"transA", "transB"};
  for (size_t i = 0; i < 2; ++i) {
    const auto order = order_of(ranks[i], node.integer(moved[i], 0) != 0, node.integer(transposed[i], 0) != 0);
    if (std::is_sorted(order.begin(), order.end())) continue;
    node.inputs[i] = expansion.add("Transpose", {node.inputs[i]}, i == 0 ? "_a" : "_b");
    expansion.last().attributes["perm"] = order;
  }
  const float alpha = node.real("alpha", 1.0f);
  node.attributes.clear();
  expansion.layer("MatMul");
  if (alpha != 1.0f) expansion.add("Mul", {expansion.result(), expansion.constant(alpha)});
  expansion.finish();
}

}  // namespace

void expand_fused(Graph& graph) {
  if (std::none_of(graph.nodes.begin(), graph.nodes.end(), is_fused)) return;
  Graph shaped = graph;
  infer_shapes(shaped);
  std::vector<Node> old = std::move(graph.nodes);
  std::vector<Node> nodes;
  for (Node& node : old) {
    const bool product = node.op == "FusedMatMul";
    const auto& a = shape_of(shaped, node, 0);
    const auto& b = shape_of(shaped, node, 1);
    const Activation* activation = is_fused(node) ? find_activation(node.text("activation", "")) : nullptr;
    if (!is_fused(node) || (product ? !a || !b : activation == nullptr && node.has("activation"))) {
      nodes.push_back(std::move(node));
      continue;
    }
    Expansion expansion(graph, std::move(node), nodes);
    if (product) expand_product(expansion, {a->size(), b->size()});
    else expand_layer(expansion, activation);
  }
  graph.nodes = std::move(nodes);
}

}  // namespace pare
