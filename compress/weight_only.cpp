#include "compress/weight_only.hpp"

#include <algorithm>
#include <optional>

#include "src/core/error.hpp"
#include "src/graph/edit.hpp"

namespace pare {
namespace {

constexpr int embedding_bits = 8;
// What a DequantizeLinear, its scale and their names cost in the file, about.
constexpr int64_t node_bytes = 200;

// How a weight's readers take it.
struct Form {
  enum class Kind { matrix, channels, table } kind = Kind::matrix;
  size_t axis = 0;          // K of a matrix, the channels, the columns of a table
  bool transposed = false;  // Gemm with transB = 1: written as [K,N]
  float factor = 1;         // Gemm's alpha, folded in

  bool operator==(const Form&) const = default;
};

struct Use {
  size_t node;
  size_t input;
};

std::optional<Form> form_of(const Node& node, size_t input, size_t rank) {
  if (!node.domain.empty() || rank < 2) return std::nullopt;
  if (node.op == "MatMul" && input == 1) return Form{Form::Kind::matrix, rank - 2};
  if (node.op == "Gemm" && input == 1)
    return Form{Form::Kind::matrix, 0, node.integer("transB", 0) != 0, node.real("alpha", 1)};
  if (node.op == "Conv" && input == 1) return Form{Form::Kind::channels, 0};
  if (node.op == "ConvTranspose" && input == 1 && node.integer("group", 1) == 1) return Form{Form::Kind::channels, 1};
  if ((node.op == "LSTM" || node.op == "GRU" || node.op == "RNN") && (input == 1 || input == 2))
    return Form{Form::Kind::channels, 1};
  if (node.op == "Gather" && input == 0 && node.integer("axis", 0) == 0 && rank == 2) return Form{Form::Kind::table, 1};
  return std::nullopt;
}

std::vector<float> transposed(const std::vector<float>& values, int64_t rows, int64_t columns) {
  std::vector<float> result(values.size());
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c)
      result[static_cast<size_t>(c * rows + r)] = values[static_cast<size_t>(r * columns + c)];
  return result;
}

class Quantizer {
 public:
  Quantizer(Graph& graph, const WeightOnlyConfig& config) : graph_(graph), config_(config) {}

  WeightOnlyResult run() {
    std::vector<std::vector<Use>> uses(graph_.values.size());
    for (size_t n = 0; n < graph_.nodes.size(); ++n)
      for (size_t i = 0; i < graph_.nodes[n].inputs.size(); ++i)
        if (const ValueId id = graph_.nodes[n].inputs[i]; id != no_value && graph_.value(id).constant)
          uses[static_cast<size_t>(id)].push_back({n, i});
    // In the order of the nodes: a rounding that looks at what earlier layers lost finds them rounded.
    std::vector<ValueId> weights;
    for (size_t id = 0; id < uses.size(); ++id)
      if (!uses[id].empty()) weights.push_back(static_cast<ValueId>(id));
    const auto first_node = [&](ValueId id) { return uses[static_cast<size_t>(id)].front().node; };
    std::stable_sort(weights.begin(), weights.end(),
                     [&](ValueId a, ValueId b) { return first_node(a) < first_node(b); });
    for (const ValueId id : weights) visit(id, uses[static_cast<size_t>(id)]);
    for (const ValueId product : products_) unfuse_limits(product);
    insertions_.apply(graph_);
    verify(graph_);
    return std::move(result_);
  }

 private:
  void visit(ValueId id, const std::vector<Use>& uses) {
    const Tensor& tensor = *graph_.value(id).constant;
    const std::string& name = graph_.value(id).name;
    if (!is_float(tensor.dtype)) return;
    std::optional<Form> form;
    bool some = false, same = true;
    for (const Use& use : uses) {
      const auto here = form_of(graph_.nodes[use.node], use.input, tensor.shape.size());
      some = some || here.has_value();
      if (&use != &uses.front() && here != form) same = false;
      if (&use == &uses.front()) form = here;
    }
    if (!some || (config_.selected && !config_.selected(name))) return;
    if (tensor.dtype != DType::float32) return keep(name, dtype_name(tensor.dtype) + " weights stay as they are");
    if (!same || !form) return keep(name, "is shared by nodes that need it in different forms");
    quantize(id, uses, *form);
  }

  void keep(const std::string& name, std::string reason) { result_.kept.push_back({name, std::move(reason)}); }

  ScaleGroups groups_of(const Form& form, const Shape& shape) const {
    using Kind = Granularity::Kind;
    if (config_.granularity.kind == Kind::tensor) return {shape, 0, 0, true};
    if (form.kind != Form::Kind::matrix) return {shape, form.axis, 0, false};
    if (config_.granularity.kind == Kind::block) return {shape, form.axis, config_.granularity.block, false};
    // Columns; of a stack of matrices those of each.
    return shape.size() == 2 ? ScaleGroups{shape, 1, 0, false} : ScaleGroups{shape, form.axis, shape[form.axis], false};
  }

  void quantize(ValueId id, const std::vector<Use>& uses, const Form& form) {
    const std::string name = graph_.value(id).name;
    Shape shape = graph_.value(id).constant->shape;
    const int64_t elements = element_count(shape);
    const int bits = form.kind == Form::Kind::table ? embedding_bits
                     : config_.bits_of              ? config_.bits_of(name)
                                                    : config_.bits;
    if (form.transposed) std::swap(shape[0], shape[1]);
    const ScaleGroups groups = groups_of(form, shape);
    const int64_t scale_bits = 32 * element_count(groups.scale_shape());
    const int written_bits = bits <= 4 ? 4 : 8;
    if (elements * written_bits + scale_bits + 8 * node_bytes >= 32 * elements)
      return keep(name, "would not get smaller");
    std::vector<float> values = finite_floats(*graph_.value(id).constant, name);
    if (form.transposed) values = transposed(values, shape[1], shape[0]);
    if (form.factor != 1)
      for (float& value : values) value *= form.factor;
    const kernels::CodeRange range = bits == 8 ? symmetric_codes(8) : signed_codes(bits);
    const Node& first = graph_.nodes[uses.front().node];
    QuantizedWeight done{name, first.name, first.op, "", "", shape, bits, 0, elements, elements * bits + scale_bits,
                         {},   {}};
    RoundedWeight rounded = config_.rounding ? config_.rounding({first, name, values, groups, range})
                                             : RoundedWeight{encode_nearest(values, groups, range, config_.search), {}};
    done.encoded = std::move(rounded.encoded);
    done.errors = rounded.errors;
    done.snr_db = snr_db(values, done.encoded.decoded());
    rewire(id, uses, form, done);
    result_.weights.push_back(std::move(done));
  }

  // Puts the codes, their scale and the DequantizeLinear into the graph.
  void rewire(ValueId id, const std::vector<Use>& uses, const Form& form, QuantizedWeight& done) {
    const EncodedWeight& encoded = done.encoded;
    const std::string name = graph_.value(id).name;
    const ValueId codes = add_constant_value(graph_, name + "_codes", codes_tensor(encoded, true));
    const ValueId scale = add_constant_value(graph_, name + "_scale", scale_tensor(encoded));
    const auto dequantize = [&](ValueId from, ValueId to, int64_t axis) {
      Node node{graph_.value(to).name + "_DequantizeLinear", "", "DequantizeLinear", {from, scale}, {to}, {}};
      if (!encoded.groups.whole) node.attributes["axis"] = axis;
      if (encoded.groups.block > 0) node.attributes["block_size"] = encoded.groups.block;
      return node;
    };
    if (form.kind == Form::Kind::table) {
      for (const Use& use : uses) {
        Node& gather = graph_.nodes[use.node];
        const ValueId result = gather.outputs[0];
        const ValueId rows =
            add_computed_value(graph_, graph_.value(result).name + "_codes", DType::int8, graph_.value(result).shape);
        gather.inputs[0] = codes;
        gather.outputs[0] = rows;
        // The columns are the last axis.
        insertions_.before[use.node + 1].push_back(dequantize(rows, result, -1));
      }
    } else {
      const ValueId weight = add_computed_value(graph_, name + "_dequantized", DType::float32, encoded.groups.shape);
      insertions_.before[uses.front().node].push_back(
          dequantize(codes, weight, static_cast<int64_t>(encoded.groups.axis)));
      for (const Use& use : uses) {
        Node& node = graph_.nodes[use.node];
        node.inputs[use.input] = weight;
        if (form.transposed) node.attributes.erase("transB");
        if (form.factor != 1) node.attributes.erase("alpha");
        if (form.kind == Form::Kind::matrix) products_.push_back(node.outputs[0]);
      }
    }
    done.codes = graph_.value(codes).name;
    done.scale = graph_.value(scale).name;
  }

  // ONNX Runtime 1.32 fuses a Relu or Clip into the product before it looks for integer weights, and then dequantizes
  // them in every run. It leaves Max and Min alone.
  void unfuse_limits(ValueId product) {
    const auto readers = consumers_of(graph_)[static_cast<size_t>(product)];
    if (readers.size() != 1 || !readers[0]->domain.empty()) return;
    if (readers[0]->op == "Add") return unfuse_limits(readers[0]->outputs[0]);
    const bool relu = readers[0]->op == "Relu";
    if (!relu && readers[0]->op != "Clip") return;
    const auto index = static_cast<size_t>(readers[0] - graph_.nodes.data());
    const ValueId low =
        relu ? add_constant_value(graph_, readers[0]->name + "_min", scalar_tensor(0.0f)) : readers[0]->input(1);
    const ValueId high = readers[0]->input(2);
    if (low == no_value) return;
    Node& node = graph_.nodes[index];
    node.op = "Max";
    node.inputs = {node.inputs[0], low};
    if (high == no_value) return;
    const ValueId raised = add_computed_value(graph_, node.name + "_max", DType::float32, std::nullopt);
    insertions_.before[index + 1].push_back({node.name + "_Min", "", "Min", {raised, high}, {node.outputs[0]}, {}});
    node.outputs[0] = raised;
  }

  Graph& graph_;
  const WeightOnlyConfig& config_;
  NodeInsertions insertions_;
  std::vector<ValueId> products_;  // outputs of matrix products with integer weights
  WeightOnlyResult result_;
};

}  // namespace

WeightOnlyResult quantize_weights_only(Graph& graph, const WeightOnlyConfig& config) {
  return Quantizer(graph, config).run();
}

void check_weights(const Graph& graph, const WeightOnlyResult& result) {
  const auto consumers = consumers_of(graph);
  const auto check = [&](const std::string& name, const Tensor& expected) {
    const ValueId id = graph.find(name);
    const auto* found = id == no_value || !graph.value(id).constant ? nullptr : &*graph.value(id).constant;
    if (found == nullptr || found->dtype != expected.dtype || found->shape != expected.shape ||
        found->data.text() != expected.data.text())
      fail_run("tensor '{}': differs from what was made", name);
    if (consumers[static_cast<size_t>(id)].empty()) fail_run("tensor '{}': nothing reads it", name);
  };
  for (const QuantizedWeight& weight : result.weights) {
    const ValueId codes = graph.find(weight.codes);
    const bool narrow = codes != no_value && graph.value(codes).dtype == DType::int4;
    check(weight.codes, codes_tensor(weight.encoded, narrow));
    check(weight.scale, scale_tensor(weight.encoded));
  }
}

}  // namespace pare
