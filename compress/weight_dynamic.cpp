#include "compress/weight_dynamic.hpp"

#include <map>
#include <set>

#include "src/graph/edit.hpp"

namespace pare {
namespace {

class Quantizer {
 public:
  Quantizer(Graph& graph, const DynamicConfig& config)
      : graph_(graph), config_(config), consumers_(consumers_of(graph)) {}

  WeightOnlyResult run() {
    std::vector<Node> nodes = std::move(graph_.nodes);
    graph_.nodes.clear();
    for (Node& node : nodes) {
      if (is_product(node)) product(node);
      else graph_.nodes.push_back(std::move(node));
    }
    verify(graph_);
    return std::move(result_);
  }

 private:
  bool is_product(const Node& node) {
    if (!node.domain.empty() || (node.op != "MatMul" && node.op != "Gemm")) return false;
    const Value& weight = graph_.value(node.inputs[1]);
    const Value& input = graph_.value(node.inputs[0]);
    if (!weight.constant || weight.constant->dtype != DType::float32 || weight.constant->shape.size() != 2 ||
        input.constant || (config_.selected && !config_.selected(weight.name)))
      return false;
    if (consumers_[static_cast<size_t>(node.inputs[1])].size() != 1) {
      result_.kept.push_back({weight.name, "is shared by several nodes"});
      return false;
    }
    return node.op == "MatMul" || (node.integer("transA", 0) == 0 && node.real("beta", 1) == 1);
  }

  struct Input {
    ValueId codes, scale, zero_point;
  };

  Input quantized(ValueId input) {
    const auto [entry, added] = inputs_.try_emplace(input);
    if (!added) return entry->second;
    const std::string name = graph_.value(input).name;
    entry->second = {add_computed_value(graph_, name + "_quantized", DType::uint8, graph_.value(input).shape),
                     add_computed_value(graph_, name + "_scale", DType::float32, Shape{}),
                     add_computed_value(graph_, name + "_zero_point", DType::uint8, Shape{})};
    graph_.nodes.push_back({name + "_DynamicQuantizeLinear",
                            "",
                            "DynamicQuantizeLinear",
                            {input},
                            {entry->second.codes, entry->second.scale, entry->second.zero_point},
                            {}});
    return entry->second;
  }

  // The weight as [K,N], with Gemm's alpha.
  std::vector<float> matrix_of(const Node& node, Shape& shape) const {
    const Value& weight = graph_.value(node.inputs[1]);
    const std::vector<float> values = finite_floats(*weight.constant, weight.name);
    shape = weight.constant->shape;
    std::vector<float> matrix(values.size());
    const bool transposed = node.op == "Gemm" && node.integer("transB", 0) != 0;
    if (transposed) std::swap(shape[0], shape[1]);
    const float alpha = node.op == "Gemm" ? node.real("alpha", 1) : 1;
    const auto rows = static_cast<size_t>(shape[0]), columns = static_cast<size_t>(shape[1]);
    for (size_t k = 0; k < rows; ++k)
      for (size_t n = 0; n < columns; ++n)
        matrix[k * columns + n] = alpha * values[transposed ? n * rows + k : k * columns + n];
    return matrix;
  }

  void product(const Node& node) {
    const std::string name = graph_.value(node.inputs[1]).name;
    QuantizedWeight done;
    const std::vector<float> matrix = matrix_of(node, done.shape);
    done.encoded = encode_nearest(matrix, {done.shape, 1, 0, !config_.per_channel}, symmetric_codes(config_.bits),
                                  ScaleSearch::absmax);
    const ValueId codes = add_constant_value(graph_, name + "_codes", codes_tensor(done.encoded, false));
    const ValueId scale = add_constant_value(graph_, name + "_scale", scale_tensor(done.encoded));
    const Input input = quantized(node.inputs[0]);
    const auto add = [&](const char* op, std::vector<ValueId> inputs, DType dtype) {
      const ValueId result = add_computed_value(graph_, node.name + "_" + op, dtype, std::nullopt);
      graph_.nodes.push_back({graph_.value(result).name, "", op, std::move(inputs), {result}, {}});
      return result;
    };
    const ValueId integer = add("MatMulInteger", {input.codes, codes, input.zero_point}, DType::int32);
    const ValueId real = add("Cast", {integer}, DType::float32);
    graph_.nodes.back().attributes["to"] = static_cast<int64_t>(DType::float32);
    const ValueId factor = add("Mul", {input.scale, scale}, DType::float32);
    add("Mul", {real, factor}, DType::float32);
    if (const ValueId bias = node.op == "Gemm" ? node.input(2) : no_value; bias != no_value)
      add("Add", {graph_.nodes.back().outputs[0], bias}, DType::float32);
    graph_.nodes.back().outputs[0] = node.outputs[0];
    done.name = name;
    done.node = node.name;
    done.op = node.op;
    done.codes = graph_.value(codes).name;
    done.scale = graph_.value(scale).name;
    done.bits = config_.bits;
    done.snr_db = snr_db(matrix, done.encoded.decoded());
    done.elements = element_count(done.shape);
    done.stored_bits = 8 * done.elements + 32 * static_cast<int64_t>(done.encoded.scale.size());
    result_.weights.push_back(std::move(done));
  }

  Graph& graph_;
  const DynamicConfig& config_;
  const std::vector<std::vector<const Node*>> consumers_;
  std::map<ValueId, Input> inputs_;
  WeightOnlyResult result_;
};

}  // namespace

WeightOnlyResult quantize_dynamically(Graph& graph, const DynamicConfig& config) {
  std::set<std::string> tables;
  for (const Node& node : graph.nodes)
    if (node.op == "Gather" && node.domain.empty()) tables.insert(graph.value(node.inputs[0]).name);
  WeightOnlyResult result = Quantizer(graph, config).run();
  WeightOnlyConfig embeddings;
  embeddings.selected = [&](const std::string& name) {
    return tables.contains(name) && (!config.selected || config.selected(name));
  };
  WeightOnlyResult gathered = quantize_weights_only(graph, embeddings);
  std::move(gathered.weights.begin(), gathered.weights.end(), std::back_inserter(result.weights));
  std::move(gathered.kept.begin(), gathered.kept.end(), std::back_inserter(result.kept));
  return result;
}

}  // namespace pare
