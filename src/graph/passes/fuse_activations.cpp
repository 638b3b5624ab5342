#include "src/graph/passes/fuse_activations.hpp"

#include <cmath>
#include <numbers>

namespace pare {
namespace {

bool near(double value, double wanted) { return std::abs(value - wanted) <= 1e-5 * std::abs(wanted); }

// A value as a constant number times computed values.
struct Product {
  double scale = 1;
  std::vector<ValueId> factors;
};

class Matcher {
 public:
  // What computes values of `kept` is not looked at.
  Matcher(const Graph& graph, const std::set<ValueId>& kept) : graph_(graph), producers_(graph.values.size(), nullptr) {
    for (const Node& node : graph.nodes)
      for (const ValueId output : node.outputs)
        if (output != no_value && !kept.contains(output)) producers_[static_cast<size_t>(output)] = &node;
  }

  // The operator that the node's result is of one value, and that value; no name when it is none.
  std::pair<const char*, ValueId> match(const Node& node) const {
    if (!is(&node, "Mul") && !is(&node, "Div")) return {nullptr, no_value};
    Product product;
    if (!multiply(node, product, 0) || product.factors.size() != 2) return {nullptr, no_value};
    for (const size_t first : {0U, 1U}) {
      const ValueId x = product.factors[first];
      // A constant of shape [1] makes a row of a number.
      if (const auto& shape = graph_.value(x).shape; shape && shape->empty()) continue;
      if (const char* op = activation(x, product.factors[1 - first], product.scale)) return {op, x};
    }
    return {nullptr, no_value};
  }

 private:
  static bool is(const Node* node, std::string_view op) {
    return node != nullptr && node->domain.empty() && node->op == op;
  }
  const Node* producer(ValueId id) const { return id == no_value ? nullptr : producers_[static_cast<size_t>(id)]; }

  // The number that a float constant of one element is.
  std::optional<double> number(ValueId id) const {
    if (id == no_value) return std::nullopt;
    const auto& constant = graph_.value(id).constant;
    if (!constant || !is_float(constant->dtype) || constant->shape.size() > 1 || constant->elements() != 1)
      return std::nullopt;
    return to_double(*constant)[0];
  }

  // Gelu's product has three nodes in a row.
  static constexpr int deepest = 3;

  // Multiplies `product` by the node's result. False where it is no product.
  bool multiply(const Node& node, Product& product, int depth) const {
    const auto divisor = is(&node, "Div") ? number(node.inputs[1]) : std::nullopt;
    if (is(&node, "Div") && !divisor) return false;
    if (divisor) product.scale /= *divisor;
    for (size_t i = 0; i < (divisor ? 1U : 2U); ++i) {
      const ValueId input = node.inputs[i];
      const Node* maker = producer(input);
      if (const auto factor = number(input)) product.scale *= *factor;
      else if (depth + 1 < deepest && (is(maker, "Mul") || is(maker, "Div"))) {
        Product inner = product;
        if (multiply(*maker, inner, depth + 1)) product = std::move(inner);
        else product.factors.push_back(input);
      } else {
        product.factors.push_back(input);
      }
    }
    return true;
  }

  // Whether the node's inputs are x and that number, in some order.
  bool adds(const Node* node, double wanted, ValueId x) const {
    if (!is(node, "Add")) return false;
    for (const size_t i : {0U, 1U}) {
      const auto offset = number(node->inputs[i]);
      if (offset && near(*offset, wanted) && node->inputs[1 - i] == x) return true;
    }
    return false;
  }

  // The operator that scale * x * gate is.
  const char* activation(ValueId x, ValueId gate, double scale) const {
    const Node* node = producer(gate);
    if (is(node, "Sigmoid") && node->inputs[0] == x && near(scale, 1)) return "Swish";
    if (is(node, "HardSigmoid") && node->inputs[0] == x && near(scale, 1) && near(node->real("alpha", 0.2f), 1.0 / 6) &&
        near(node->real("beta", 0.5f), 0.5))
      return "HardSwish";
    if (is(node, "Clip") && near(scale, 1.0 / 6) && adds(producer(node->inputs[0]), 3, x) &&
        number(node->input(1)) == 0.0 && number(node->input(2)) == 6.0)
      return "HardSwish";
    if (is(node, "Add") && near(scale, 0.5)) {
      for (const ValueId input : node->inputs) {
        const Node* erf = producer(input);
        if (!is(erf, "Erf") || !adds(node, 1, input)) continue;
        const Node* scaling = producer(erf->inputs[0]);
        Product inner;
        if (scaling != nullptr && (is(scaling, "Mul") || is(scaling, "Div")) && multiply(*scaling, inner, deepest) &&
            inner.factors == std::vector<ValueId>{x} && near(inner.scale, 1 / std::numbers::sqrt2))
          return "Gelu";
      }
    }
    return nullptr;
  }

  const Graph& graph_;
  std::vector<const Node*> producers_;
};

}  // namespace

int fuse_activations(Graph& graph, const std::set<ValueId>& kept) {
  std::vector<std::pair<const char*, ValueId>> found;
  {
    const Matcher matcher(graph, kept);
    for (const Node& node : graph.nodes) found.push_back(matcher.match(node));
  }
  int rewritten = 0;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (found[i].first == nullptr) continue;
    Node& node = graph.nodes[i];
    node.op = found[i].first;
    node.inputs = {found[i].second};
    node.attributes.clear();
    ++rewritten;
  }
  return rewritten;
}

}  // namespace pare
