#include "src/graph/passes/fold_scaling.hpp"

#include <algorithm>
#include <set>

#include "src/graph/edit.hpp"

namespace pare {
namespace {

// y = scale * x + offset, one of each a channel or one for all.
struct Scaling {
  std::vector<double> scale{1};
  std::vector<double> offset{0};

  bool changes_offset() const {
    return std::any_of(offset.begin(), offset.end(), [](double value) { return value != 0; });
  }
  bool nothing() const {
    return !changes_offset() && std::all_of(scale.begin(), scale.end(), [](double value) { return value == 1; });
  }
};

double at(const std::vector<double>& values, size_t channel) { return values[values.size() == 1 ? 0 : channel]; }

class Folder {
 public:
  explicit Folder(Graph& graph) : graph_(graph), consumers_(consumers_of(graph)), gone_(graph.nodes.size(), false) {
    for (const Port& output : graph.outputs) outputs_.insert(output.value);
  }

  int run() {
    for (Node& node : graph_.nodes) fold_reshaped_constant(node);
    for (size_t i = 0; i < graph_.nodes.size(); ++i)
      if (!gone_[i]) fold_behind(graph_.nodes[i]);
    for (Node& node : graph_.nodes) drop_identity(node);
    std::vector<Node> kept;
    for (size_t i = 0; i < graph_.nodes.size(); ++i)
      if (!gone_[i]) kept.push_back(std::move(graph_.nodes[i]));
    graph_.nodes = std::move(kept);
    return static_cast<int>(std::count(gone_.begin(), gone_.end(), true));
  }

 private:
  static bool is(const Node& node, std::initializer_list<std::string_view> ops) {
    return node.domain.empty() && std::find(ops.begin(), ops.end(), node.op) != ops.end();
  }
  bool is_float_constant(ValueId id) const {
    return id != no_value && graph_.value(id).constant && graph_.value(id).constant->dtype == DType::float32;
  }
  // Whether only one node reads the constant, so that it may change.
  bool own(ValueId id) const {
    return static_cast<size_t>(id) >= consumers_.size() || consumers_[static_cast<size_t>(id)].size() == 1;
  }
  Node* only_reader(ValueId id) const {
    const auto& readers = consumers_[static_cast<size_t>(id)];
    if (readers.size() != 1 || outputs_.contains(id)) return nullptr;
    return &graph_.nodes[static_cast<size_t>(readers.front() - graph_.nodes.data())];
  }
  void remove(const Node& node) { gone_[static_cast<size_t>(&node - graph_.nodes.data())] = true; }

  void fold_reshaped_constant(Node& node) {
    if (!is(node, {"Reshape", "Unsqueeze", "Squeeze", "Flatten"}) || !is_float_constant(node.inputs[0])) return;
    Value& result = graph_.value(node.outputs[0]);
    if (outputs_.contains(node.outputs[0]) || !result.shape) return;
    const Tensor& tensor = *graph_.value(node.inputs[0]).constant;
    const Shape shape = *result.shape;
    if (std::any_of(shape.begin(), shape.end(), [](int64_t size) { return size < 0; }) ||
        element_count(shape) != tensor.elements())
      return;
    result.constant = Tensor{tensor.dtype, shape, tensor.data};
    remove(node);
  }

  // What the node does to `input` where it is a Mul, Div, Add or Sub with a constant for all values or for each
  // coordinate of `axis` (from the end: negative) of a value of that rank (-1: not known).
  std::optional<Scaling> scaling_of(const Node& node, ValueId input, int64_t rank, int64_t axis,
                                    int64_t channels) const {
    if (!is(node, {"Mul", "Div", "Add", "Sub"}) || node.inputs.size() != 2 || node.inputs[0] == node.inputs[1])
      return std::nullopt;
    const size_t side = node.inputs[0] == input ? 1 : 0;
    if (!is_float_constant(node.inputs[side])) return std::nullopt;
    const Tensor& tensor = *graph_.value(node.inputs[side]).constant;
    const auto size = static_cast<int64_t>(tensor.shape.size());
    if (tensor.elements() < 1 || size > std::max<int64_t>(rank, 1)) return std::nullopt;
    if (tensor.elements() > 1) {
      const int64_t place = axis < 0 ? size + axis : axis - (rank - size);
      if (tensor.elements() != channels || place < 0 || tensor.shape[static_cast<size_t>(place)] != channels)
        return std::nullopt;
    }
    const std::vector<double> values = to_double(tensor);
    return applied(node, side, values);
  }

  static std::optional<Scaling> applied(const Node& node, size_t side, const std::vector<double>& values) {
    Scaling scaling;
    if (node.op == "Mul") scaling.scale = values;
    if (node.op == "Add") scaling.offset = values;
    if (node.op == "Sub") {
      scaling.offset = values;
      if (side == 0) scaling.scale = {-1};
      else
        for (double& value : scaling.offset) value = -value;
    }
    if (node.op == "Div") {
      if (side == 0) return std::nullopt;
      scaling.scale = values;
      for (double& value : scaling.scale) value = 1 / value;
    }
    const auto finite = [](double value) { return std::abs(value) < 1e30; };
    if (!std::all_of(scaling.scale.begin(), scaling.scale.end(), finite) ||
        !std::all_of(scaling.offset.begin(), scaling.offset.end(), finite))
      return std::nullopt;
    return scaling;
  }

  // Where a layer's output channels lie in its weight and its result; nullopt when it is not of a form that can take a
  // factor.
  struct Layer {
    int64_t weight_axis, result_rank, result_axis, channels;
  };
  std::optional<Layer> layer_of(const Node& node) const {
    if (!is(node, {"Conv", "ConvTranspose", "Gemm", "MatMul"}) || !is_float_constant(node.inputs[1]) ||
        !own(node.inputs[1]))
      return std::nullopt;
    const Shape& shape = graph_.value(node.inputs[1]).constant->shape;
    const auto rank = static_cast<int64_t>(shape.size());
    if (rank < 2) return std::nullopt;
    Layer layer{0, rank, 1, 0};
    if (node.op == "ConvTranspose") {
      if (node.integer("group", 1) != 1) return std::nullopt;
      layer.weight_axis = 1;
    } else if (node.op == "Gemm") {
      if (node.real("alpha", 1) != 1 || node.real("beta", 1) != 1) return std::nullopt;
      layer.weight_axis = node.integer("transB", 0) != 0 ? 0 : 1;
    } else if (node.op == "MatMul") {
      const auto& result = graph_.value(node.outputs[0]).shape;
      layer = {rank - 1, result ? static_cast<int64_t>(result->size()) : -1, -1, 0};
    }
    layer.channels = shape[static_cast<size_t>(layer.weight_axis)];
    return layer;
  }

  void scale_tensor(ValueId id, size_t axis, const Scaling& scaling) {
    Tensor& tensor = *graph_.value(id).constant;
    std::vector<double> values = to_double(tensor);
    size_t inner = 1;
    for (size_t i = axis + 1; i < tensor.shape.size(); ++i) inner *= static_cast<size_t>(tensor.shape[i]);
    const auto channels = static_cast<size_t>(tensor.shape[axis]);
    for (size_t i = 0; i < values.size(); ++i) values[i] *= at(scaling.scale, i / inner % channels);
    tensor = Tensor::of(DType::float32, tensor.shape, std::vector<float>(values.begin(), values.end()));
  }

  // bias = scale * bias + offset; false when the layer's bias is not a vector of constants.
  bool scale_bias(Node& node, size_t index, int64_t channels, const Scaling& scaling) {
    const ValueId bias = node.input(index);
    if (bias == no_value && !scaling.changes_offset()) return true;
    std::vector<double> values(static_cast<size_t>(channels), 0.0);
    if (bias != no_value) {
      if (!is_float_constant(bias) || graph_.value(bias).constant->shape != Shape{channels}) return false;
      values = to_double(*graph_.value(bias).constant);
    }
    for (size_t c = 0; c < values.size(); ++c) values[c] = values[c] * at(scaling.scale, c) + at(scaling.offset, c);
    Tensor tensor = Tensor::of(DType::float32, {channels}, std::vector<float>(values.begin(), values.end()));
    if (bias != no_value && own(bias)) {
      graph_.value(bias).constant = std::move(tensor);
      return true;
    }
    node.inputs.resize(std::max(node.inputs.size(), index + 1), no_value);
    node.inputs[index] = add_constant_value(graph_, node.name + "_bias", std::move(tensor));
    return true;
  }

  void fold_behind(Node& node) {
    const auto layer = layer_of(node);
    if (!layer) return;
    Node* last = &node;  // the layer, or the addition of a MatMul's bias
    size_t bias = 2;
    while (Node* next = only_reader(last->outputs[0])) {
      const auto scaling = scaling_of(*next, last->outputs[0], layer->result_rank, layer->result_axis, layer->channels);
      if (!scaling) return;
      if (node.op == "MatMul" && last == &node && scaling->changes_offset()) {
        bias = next->inputs[0] == node.outputs[0] ? 1 : 0;
        const Shape& shape = graph_.value(next->inputs[bias]).constant->shape;
        if (next->op != "Add" || shape != Shape{layer->channels}) return;
        last = next;
        continue;
      }
      if (!(node.op == "MatMul" && last == &node) && !scale_bias(*last, bias, layer->channels, *scaling)) return;
      scale_tensor(node.inputs[1], static_cast<size_t>(layer->weight_axis), *scaling);
      last->outputs[0] = next->outputs[0];
      remove(*next);
    }
  }

  void drop_identity(Node& node) {
    if (gone_[static_cast<size_t>(&node - graph_.nodes.data())] || !is(node, {"Mul", "Div", "Add", "Sub"})) return;
    const ValueId result = node.outputs[0];
    for (const size_t side : {size_t{0}, size_t{1}}) {
      const ValueId input = node.input(side);
      if (input == no_value || graph_.value(input).constant || outputs_.contains(result)) continue;
      const auto& shape = graph_.value(input).shape;
      const auto scaling = scaling_of(node, input, shape ? static_cast<int64_t>(shape->size()) : -1, -1, -1);
      if (!scaling || !scaling->nothing()) continue;
      for (Node& reader : graph_.nodes) std::replace(reader.inputs.begin(), reader.inputs.end(), result, input);
      remove(node);
      return;
    }
  }

  Graph& graph_;
  std::vector<std::vector<const Node*>> consumers_;
  std::set<ValueId> outputs_;
  std::vector<bool> gone_;
};

}  // namespace

int fold_scaling(Graph& graph) { return Folder(graph).run(); }

}  // namespace pare
