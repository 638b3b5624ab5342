// Shape inference, an operator at a time. Sizes are -1 where unknown; a result without value has unknown rank.
#pragma once

#include <optional>

#include "src/graph/graph.hpp"

namespace pare {

// The shape of the node's first output from the shapes and constants of its inputs. Throws (exit 3) naming the node
// when the inputs do not fit together.
using ShapeRule = std::optional<Shape> (*)(const Graph& graph, const Node& node);

namespace shape_rules {

std::optional<Shape> same_shape(const Graph& graph, const Node& node);
std::optional<Shape> broadcast_shape(const Graph& graph, const Node& node);
std::optional<Shape> conv_shape(const Graph& graph, const Node& node);
std::optional<Shape> pool_shape(const Graph& graph, const Node& node);
std::optional<Shape> global_pool_shape(const Graph& graph, const Node& node);
std::optional<Shape> gemm_shape(const Graph& graph, const Node& node);
std::optional<Shape> matmul_shape(const Graph& graph, const Node& node);
std::optional<Shape> concat_shape(const Graph& graph, const Node& node);
std::optional<Shape> flatten_shape(const Graph& graph, const Node& node);
std::optional<Shape> reshape_shape(const Graph& graph, const Node& node);
std::optional<Shape> transpose_shape(const Graph& graph, const Node& node);
std::optional<Shape> reduce_shape(const Graph& graph, const Node& node);
std::optional<Shape> squeeze_shape(const Graph& graph, const Node& node);
std::optional<Shape> unsqueeze_shape(const Graph& graph, const Node& node);
std::optional<Shape> arg_shape(const Graph& graph, const Node& node);
std::optional<Shape> depth_to_space_shape(const Graph& graph, const Node& node);
std::optional<Shape> expand_shape(const Graph& graph, const Node& node);
std::optional<Shape> gather_shape(const Graph& graph, const Node& node);
std::optional<Shape> pad_shape(const Graph& graph, const Node& node);
std::optional<Shape> scalar_shape(const Graph& graph, const Node& node);
std::optional<Shape> second_shape(const Graph& graph, const Node& node);
std::optional<Shape> shape_shape(const Graph& graph, const Node& node);
std::optional<Shape> slice_shape(const Graph& graph, const Node& node);
std::optional<Shape> space_to_depth_shape(const Graph& graph, const Node& node);
std::optional<Shape> tile_shape(const Graph& graph, const Node& node);

}  // namespace shape_rules

// Fills Value::shape along the graph for first outputs of known operators, from the inputs' shapes (changed by the
// caller to the sizes of interest: unknown sizes stay -1). Shapes that the file declares and the rules contradict are
// replaced.
void infer_shapes(Graph& graph);

}  // namespace pare
