#include "commands/model_summary.hpp"

namespace pare {
namespace {

// Sizes as numbers, unknown ones as their symbol or "?".
Json ports_json(const Graph& graph, const std::vector<Port>& ports) {
  Json list = Json::array();
  for (const Port& port : ports) {
    const Value& value = graph.value(port.value);
    Json shape = Json::array();
    for (const Dim& dim : port.dims) {
      if (dim.size >= 0) shape.push_back(dim.size);
      else shape.push_back(dim.symbol.empty() ? "?" : dim.symbol);
    }
    Json entry = {{"name", value.name}, {"dtype", dtype_name(value.dtype)}};
    if (port.ranked) entry["shape"] = std::move(shape);
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace

Json model_json(const Model& model, const Graph& graph) {
  const GraphCost cost = graph_cost(graph);
  return {{"path", model.path},
          {"sha256", model.sha256},
          {"inputs", ports_json(graph, graph.inputs)},
          {"outputs", ports_json(graph, graph.outputs)},
          {"parameters", cost.parameters},
          {"nonzero", cost.nonzero},
          {"macs", cost.macs},
          {"bytes", model.file_bytes}};
}

Json result_json(const GraphCost& cost, const std::vector<WrittenFile>& files) {
  Json result = {
      {"parameters", cost.parameters}, {"nonzero", cost.nonzero}, {"sparsity", cost.sparsity()}, {"macs", cost.macs}};
  if (files.size() == 1) result["bytes"] = files.front().bytes;
  result["files"] = Json::array();
  for (const WrittenFile& file : files)
    result["files"].push_back(
        {{"path", file.path}, {"format", file.format}, {"bytes", file.bytes}, {"sha256", file.sha256}});
  return result;
}

std::string op_name(const Node& node) { return node.domain.empty() ? node.op : node.domain + "." + node.op; }

Json layers_json(const GraphCost& cost) {
  Json layers = Json::array();
  for (const NodeCost& row : cost.nodes) {
    for (const ValueId input : row.node->inputs) {
      if (input == no_value || !row.graph->value(input).constant) continue;
      const Tensor& weight = *row.graph->value(input).constant;
      if (!is_float(weight.dtype) || weight.shape.size() < 2 || weight.elements() == 0) continue;
      Json layer = {{"name", row.node->name}, {"op", op_name(*row.node)}, {"shape", weight.shape}};
      layer["sparsity"] = 1.0 - static_cast<double>(count_nonzero(weight)) / static_cast<double>(weight.elements());
      if (row.macs >= 0) layer["macs_before"] = row.macs;
      layers.push_back(std::move(layer));
    }
  }
  return layers;
}

}  // namespace pare
