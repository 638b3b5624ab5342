// Shape inference, an operator at a time. Sizes are -1 where unknown; a result without value has unknown rank.
#pragma once

#include <optional>

#include "src/graph/graph.hpp"

namespace pare {

// A node's output shapes, in order; outputs beyond the list are unknown.
struct Shapes : std::vector<std::optional<Shape>> {
  Shapes(std::nullopt_t) {}
  Shapes(Shape first) { emplace_back(std::move(first)); }
  Shapes(std::optional<Shape> first) { push_back(std::move(first)); }
  explicit Shapes(size_t outputs) : std::vector<std::optional<Shape>>(outputs) {}
};

// The shapes of the node's outputs from the shapes and constants of its inputs. Throws (exit 3) naming the node when
// the inputs do not fit together.
using ShapeRule = Shapes (*)(const Graph& graph, const Node& node);

namespace shape_rules {

Shapes same_shape(const Graph& graph, const Node& node);
Shapes broadcast_shape(const Graph& graph, const Node& node);
Shapes conv_shape(const Graph& graph, const Node& node);
Shapes pool_shape(const Graph& graph, const Node& node);
Shapes global_pool_shape(const Graph& graph, const Node& node);
Shapes gemm_shape(const Graph& graph, const Node& node);
Shapes matmul_shape(const Graph& graph, const Node& node);
Shapes concat_shape(const Graph& graph, const Node& node);
Shapes flatten_shape(const Graph& graph, const Node& node);
Shapes reshape_shape(const Graph& graph, const Node& node);
Shapes transpose_shape(const Graph& graph, const Node& node);
Shapes reduce_shape(const Graph& graph, const Node& node);
Shapes squeeze_shape(const Graph& graph, const Node& node);
Shapes unsqueeze_shape(const Graph& graph, const Node& node);
Shapes arg_shape(const Graph& graph, const Node& node);
Shapes depth_to_space_shape(const Graph& graph, const Node& node);
Shapes expand_shape(const Graph& graph, const Node& node);
Shapes gather_shape(const Graph& graph, const Node& node);
Shapes pad_shape(const Graph& graph, const Node& node);
Shapes scalar_shape(const Graph& graph, const Node& node);
Shapes second_shape(const Graph& graph, const Node& node);
Shapes shape_shape(const Graph& graph, const Node& node);
Shapes slice_shape(const Graph& graph, const Node& node);
Shapes space_to_depth_shape(const Graph& graph, const Node& node);
Shapes tile_shape(const Graph& graph, const Node& node);
Shapes constant_of_shape_shape(const Graph& graph, const Node& node);
Shapes conv_transpose_shape(const Graph& graph, const Node& node);
Shapes gather_nd_shape(const Graph& graph, const Node& node);
Shapes split_shape(const Graph& graph, const Node& node);
Shapes top_k_shape(const Graph& graph, const Node& node);
Shapes if_shape(const Graph& graph, const Node& node);
Shapes unknown_shape(const Graph& graph, const Node& node);
Shapes recurrent_shape(const Graph& graph, const Node& node);
Shapes resize_shape(const Graph& graph, const Node& node);
Shapes dynamic_quantize_shape(const Graph& graph, const Node& node);
Shapes q_linear_matmul_shape(const Graph& graph, const Node& node);
Shapes attention_shape(const Graph& graph, const Node& node);
Shapes boxes_shape(const Graph& graph, const Node& node);
Shapes grid_sample_shape(const Graph& graph, const Node& node);
Shapes matmul_n_bits_shape(const Graph& graph, const Node& node);
Shapes one_hot_shape(const Graph& graph, const Node& node);
Shapes roi_align_shape(const Graph& graph, const Node& node);
Shapes q_linear_conv_shape(const Graph& graph, const Node& node);
Shapes q_gemm_shape(const Graph& graph, const Node& node);
Shapes q_linear_binary_shape(const Graph& graph, const Node& node);
Shapes q_linear_where_shape(const Graph& graph, const Node& node);
Shapes q_linear_concat_shape(const Graph& graph, const Node& node);
Shapes q_linear_pool_shape(const Graph& graph, const Node& node);
Shapes q_linear_global_pool_shape(const Graph& graph, const Node& node);
Shapes dynamic_quantize_lstm_shape(const Graph& graph, const Node& node);
Shapes embedding_shape(const Graph& graph, const Node& node);
Shapes fused_matmul_shape(const Graph& graph, const Node& node);
Shapes multi_head_attention_shape(const Graph& graph, const Node& node);
Shapes packed_attention_shape(const Graph& graph, const Node& node);

}  // namespace shape_rules

// Fills Value::shape along the graph for the outputs of known operators, from the inputs' shapes (changed by the
// caller to the sizes of interest: unknown sizes stay -1), Value::dtype and Value::known. What the file declares and
// the rules contradict is replaced.
void infer_shapes(Graph& graph);

}  // namespace pare
