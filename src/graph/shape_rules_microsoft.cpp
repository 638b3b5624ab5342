// Shape rules of what ONNX Runtime's optimizer fuses (domain com.microsoft).
#include <algorithm>
#include <utility>

#include "src/graph/node_inputs.hpp"
#include "src/graph/shape_rules.hpp"

namespace pare::shape_rules {

Shapes matmul_n_bits_shape(const Graph& graph, const Node& node) {
  std::optional<Shape> shape = shape_of(graph, node, 0);
  if (shape && !shape->empty()) shape->back() = node.integer("N", -1);
  return shape;
}

// MatMul of operands whose last two dimensions change places (transA, transB), or whose first one goes behind the batch
// (transBatchA, transBatchB).
Shapes fused_matmul_shape(const Graph& graph, const Node& node) {
  Graph operands;
  Node product;
  product.name = node.name;
  product.op = node.op;
  const char* const transposed[] = {"transA", "transB"};
  const char* const behind[] = {"transBatchA", "transBatchB"};
  for (size_t i = 0; i < 2; ++i) {
    std::optional<Shape> shape = shape_of(graph, node, i);
    if (!shape) return std::nullopt;
    if (shape->size() > 1) {
      if (node.integer(behind[i], 0) != 0) std::rotate(shape->begin(), shape->begin() + 1, shape->end() - 1);
      if (node.integer(transposed[i], 0) != 0) std::swap(shape->back(), (*shape)[shape->size() - 2]);
    }
    product.inputs.push_back(operands.add_value(""));
    operands.value(product.inputs.back()).shape = std::move(shape);
  }
  return matmul_shape(operands, product);
}

// Of a weight [H, sizes of q, k and v]: what is left of the input [B, S, H] is as wide as the values.
Shapes packed_attention_shape(const Graph& graph, const Node& node) {
  const auto& x = shape_of(graph, node, 0);
  const auto& weight = shape_of(graph, node, 1);
  if (!x || !weight || x->size() != 3 || weight->size() != 2) return std::nullopt;
  const auto sizes = node.integers("qkv_hidden_sizes", {});
  const int64_t width = sizes.size() == 3 ? sizes[2] : (*weight)[1] < 0 ? -1 : (*weight)[1] / 3;
  return Shape{(*x)[0], (*x)[1], width};
}

Shapes multi_head_attention_shape(const Graph& graph, const Node& node) {
  const auto& q = shape_of(graph, node, 0);
  const auto& v = shape_of(graph, node, 2);
  if (!q || !v || q->size() != 3) return std::nullopt;
  const bool by_heads = v->size() == 4;
  if (!by_heads && v->size() != 3) return std::nullopt;
  const int64_t width = !by_heads ? v->back() : (*v)[1] < 0 || (*v)[3] < 0 ? -1 : (*v)[1] * (*v)[3];
  return Shape{(*q)[0], (*q)[1], width};
}

// Tokens [B, S] and words [count, H]: the embeddings, how many tokens count, and the sum before it is normalised.
Shapes embedding_shape(const Graph& graph, const Node& node) {
  const auto& ids = shape_of(graph, node, 0);
  const auto& words = shape_of(graph, node, 2);
  if (!ids || !words || ids->size() != 2 || words->size() != 2) return std::nullopt;
  Shapes shapes(3);
  shapes[0] = Shape{(*ids)[0], (*ids)[1], (*words)[1]};
  shapes[1] = Shape{(*ids)[0]};
  shapes[2] = shapes[0];
  return shapes;
}

}  // namespace pare::shape_rules
