#include "src/graph/passes/normalize_opset.hpp"

#include <algorithm>
#include <iterator>

#include "src/core/error.hpp"
#include "src/graph/passes/expand_flattening_softmax.hpp"
#include "src/graph/passes/expand_group_scales.hpp"

namespace pare {
namespace {

constexpr int64_t oldest_opset = 6;
// Softmax is over one axis since.
constexpr int64_t softmax_opset = 13;
// GroupNormalization has a scale and a bias a channel since; before, one a group.
constexpr int64_t group_normalization_opset = 21;
constexpr int64_t newest_opset = 28;

void set_input(Graph& graph, Node& node, size_t index, Tensor tensor) {
  const ValueId id = graph.add_value("");
  Value& value = graph.value(id);
  value.dtype = tensor.dtype;
  value.shape = tensor.shape;
  value.constant = std::move(tensor);
  while (node.inputs.size() <= index) node.inputs.push_back(no_value);
  node.inputs[index] = id;
}

// An attribute with a list of integers became input `index` (Squeeze, Unsqueeze, ReduceSum 13; other reductions 18).
void axes_to_input(Graph& graph, Node& node) {
  if (!node.has("axes")) return;
  const auto axes = node.integers("axes", {});
  set_input(graph, node, 1, Tensor::of<int64_t>(DType::int64, {static_cast<int64_t>(axes.size())}, axes));
  node.attributes.erase("axes");
}

// Clip 11: the limits became inputs.
void clip_limits_to_inputs(Graph& graph, Node& node) {
  const std::pair<const char*, size_t> limits[] = {{"min", 1}, {"max", 2}};
  for (const auto& [name, index] : limits) {
    if (!node.has(name)) continue;
    const std::vector<float> limit(1, node.real(name, 0));
    set_input(graph, node, index, Tensor::of<float>(DType::float32, {}, limit));
    node.attributes.erase(name);
  }
}

// Dropout 12: the ratio became an input. Training mode is off in files that are inference graphs, so the ratio is not
// kept.
void drop_dropout_ratio(Graph&, Node& node) {
  node.attributes.erase("ratio");
  node.attributes.erase("is_test");
}

// BatchNormalization 9 dropped `spatial`; 14 replaced the extra training outputs by `training_mode`.
void modern_batch_normalization(Graph&, Node& node) {
  if (node.integer("spatial", 1) != 1)
    fail_input("{}: spatial=0 (one statistic per activation) is not supported", node.label());
  for (const char* attribute : {"spatial", "is_test", "consumed_inputs"}) {
    const auto found = node.attributes.find(attribute);
    if (found != node.attributes.end()) node.attributes.erase(found);
  }
  while (node.outputs.size() > 1) node.outputs.pop_back();
}

// Attributes with lists of integers became inputs 1, 2...: Slice 10.
void slice_bounds_to_inputs(Graph& graph, Node& node) {
  const std::pair<const char*, size_t> lists[] = {{"starts", 1}, {"ends", 2}, {"axes", 3}};
  for (const auto& [name, index] : lists) {
    if (!node.has(name)) continue;
    const auto values = node.integers(name, {});
    set_input(graph, node, index, Tensor::of<int64_t>(DType::int64, {static_cast<int64_t>(values.size())}, values));
    node.attributes.erase(name);
  }
}

// Pad 11: pads and value became inputs.
void pads_to_inputs(Graph& graph, Node& node) {
  const auto pads = node.integers("pads", {});
  set_input(graph, node, 1, Tensor::of<int64_t>(DType::int64, {static_cast<int64_t>(pads.size())}, pads));
  const std::vector<float> value(1, node.real("value", 0));
  set_input(graph, node, 2, Tensor::of<float>(DType::float32, {}, value));
  node.attributes.erase("pads");
  node.attributes.erase("value");
}

// Split 13: the sizes became an input. Split 18: without sizes, the number of outputs is an attribute.
void split_sizes_to_input(Graph& graph, Node& node) {
  if (!node.has("split")) {
    if (node.input(1) == no_value) node.attributes["num_outputs"] = static_cast<int64_t>(node.outputs.size());
    return;
  }
  const auto sizes = node.integers("split", {});
  set_input(graph, node, 1, Tensor::of<int64_t>(DType::int64, {static_cast<int64_t>(sizes.size())}, sizes));
  node.attributes.erase("split");
}

// TopK 10: k became an input.
void k_to_input(Graph& graph, Node& node) {
  const std::vector<int64_t> k(1, node.integer("k", 1));
  set_input(graph, node, 1, Tensor::of<int64_t>(DType::int64, {1}, k));
  node.attributes.erase("k");
}

// Resize 11: the region became input 1, and pixels got centres; before, positions were plain quotients, rounded down.
void scales_behind_regions(Graph&, Node& node) {
  const ValueId scales = node.input(1);
  node.inputs.resize(1);
  node.inputs.push_back(no_value);
  node.inputs.push_back(scales);
  node.attributes["coordinate_transformation_mode"] = std::string("asymmetric");
  node.attributes["nearest_mode"] = std::string("floor");
}

// Upsample, with scales as an attribute (7) or an input (9), is Resize 10.
void upsample_as_resize(Graph& graph, Node& node) {
  if (node.has("scales")) {
    const auto* scales = std::get_if<std::vector<float>>(&node.attributes.find("scales")->second);
    if (scales == nullptr) fail_input("{}: attribute 'scales' is not a list of numbers", node.label());
    set_input(graph, node, 1, Tensor::of<float>(DType::float32, {static_cast<int64_t>(scales->size())}, *scales));
    node.attributes.erase("scales");
  }
  node.op = "Resize";
  scales_behind_regions(graph, node);
}

// RoiAlign 16: regions are shifted by half a pixel unless the node says no.
void unshifted_regions(Graph&, Node& node) {
  if (!node.has("coordinate_transformation_mode"))
    node.attributes["coordinate_transformation_mode"] = std::string("output_half_pixel");
}

// GridSample 20: modes for any number of dimensions.
void modes_without_dimensions(Graph&, Node& node) {
  const std::string mode = node.text("mode", "bilinear");
  node.attributes["mode"] = mode == "bilinear"  ? std::string("linear")
                            : mode == "bicubic" ? std::string("cubic")
                                                : mode;
}

// Scatter became ScatterElements (11).
void scatter_as_scatter_elements(Graph&, Node& node) { node.op = "ScatterElements"; }

// Broadcasting as in NumPy (7): before, it was asked for, and `axis` said where the second shape begins in the first.
void modern_broadcast(Graph& graph, Node& node) {
  if (node.integer("broadcast", 0) != 0 && node.has("axis")) {
    const auto first = graph.value(node.inputs.at(0)).shape;
    const Value& second = graph.value(node.inputs.at(1));
    if (!first || !second.shape) fail_input("{}: broadcasting at an axis (opset 6) needs known ranks", node.label());
    const auto rank = static_cast<int64_t>(first->size());
    const int64_t axis = node.integer("axis", 0);
    const int64_t behind = rank - (axis < 0 ? axis + rank : axis) - static_cast<int64_t>(second.shape->size());
    if (behind < 0 || behind > rank) fail_input("{}: axis is out of range (got {})", node.label(), axis);
    if (behind > 0) {
      if (!second.constant)
        fail_input("{}: broadcasting at an axis (opset 6) is supported for constants alone", node.label());
      Tensor aligned = *second.constant;
      aligned.shape.insert(aligned.shape.end(), static_cast<size_t>(behind), 1);
      set_input(graph, node, 1, std::move(aligned));
    }
  }
  node.attributes.erase("broadcast");
  node.attributes.erase("axis");
}

// Gemm 7: broadcasting of the third input need not be asked for.
void drop_broadcast(Graph&, Node& node) { node.attributes.erase("broadcast"); }

// PRelu 7: a slope a channel needs its dimension.
void slopes_of_channels(Graph& graph, Node& node) {
  const auto& x = graph.value(node.inputs.at(0)).shape;
  const auto& slope = graph.value(node.inputs.at(1)).constant;
  if (!slope || slope->elements() == 1) return;
  if (!x || x->size() < 2) fail_input("{}: the rank of its input is not known (opset 6)", node.label());
  Tensor aligned = *slope;
  aligned.shape.assign(x->size() - 1, 1);
  aligned.shape[0] = slope->elements();
  set_input(graph, node, 1, std::move(aligned));
}

// Scan 9: without a batch dimension and lengths of sequences.
void refuse_batched_scan(Graph&, Node& node) { fail_input("{}: Scan of opset 8 is not supported", node.label()); }

struct Rule {
  const char* op;
  int64_t before_opset;  // applies to files with an older opset
  void (*apply)(Graph&, Node&);
};

constexpr Rule rules[] = {
    {"Add", 7, modern_broadcast},
    {"And", 7, modern_broadcast},
    {"BatchNormalization", 14, modern_batch_normalization},
    {"Clip", 11, clip_limits_to_inputs},
    {"Div", 7, modern_broadcast},
    {"Dropout", 12, drop_dropout_ratio},
    {"Equal", 7, modern_broadcast},
    {"Gemm", 7, drop_broadcast},
    {"Greater", 7, modern_broadcast},
    {"GridSample", 20, modes_without_dimensions},
    {"Less", 7, modern_broadcast},
    {"Mul", 7, modern_broadcast},
    {"Or", 7, modern_broadcast},
    {"PRelu", 7, slopes_of_channels},
    {"Pad", 11, pads_to_inputs},
    {"Pow", 7, modern_broadcast},
    {"ReduceL1", 18, axes_to_input},
    {"ReduceL2", 18, axes_to_input},
    {"ReduceLogSum", 18, axes_to_input},
    {"ReduceLogSumExp", 18, axes_to_input},
    {"ReduceMax", 18, axes_to_input},
    {"ReduceMean", 18, axes_to_input},
    {"ReduceMin", 18, axes_to_input},
    {"ReduceProd", 18, axes_to_input},
    {"ReduceSum", 13, axes_to_input},
    {"ReduceSumSquare", 18, axes_to_input},
    {"Resize", 11, scales_behind_regions},
    {"RoiAlign", 16, unshifted_regions},
    {"Scatter", 29, scatter_as_scatter_elements},
    {"Scan", 9, refuse_batched_scan},
    {"Slice", 10, slice_bounds_to_inputs},
    {"Split", 18, split_sizes_to_input},
    {"Squeeze", 13, axes_to_input},
    {"Sub", 7, modern_broadcast},
    {"TopK", 10, k_to_input},
    {"Unsqueeze", 13, axes_to_input},
    {"Upsample", 29, upsample_as_resize},
    {"Xor", 7, modern_broadcast},
};

}  // namespace

void normalize_opset(Graph& graph) {
  const bool asked =
      std::any_of(graph.nodes.begin(), graph.nodes.end(), [](const Node& node) { return node.domain.empty(); });
  if (!asked) return;
  if (graph.opset < oldest_opset || graph.opset > newest_opset)
    fail_input("opset {} of the default domain is not supported (expected {} to {})", graph.opset, oldest_opset,
               newest_opset);
  for (Node& node : graph.nodes) {
    if (!node.domain.empty()) continue;
    const auto rule = std::find_if(std::begin(rules), std::end(rules), [&](const Rule& row) {
      return node.op == row.op && graph.opset < row.before_opset;
    });
    if (rule != std::end(rules)) rule->apply(graph, node);
  }
  if (graph.opset < softmax_opset) expand_flattening_softmax(graph);
  if (graph.opset < group_normalization_opset) expand_group_scales(graph);
}

}  // namespace pare
