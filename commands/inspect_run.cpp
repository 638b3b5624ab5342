#include <algorithm>
#include <map>

#include "commands/block_summary.hpp"
#include "commands/channel_summary.hpp"
#include "commands/inspect.hpp"
#include "commands/model_summary.hpp"
#include "src/core/table.hpp"
#include "src/graph/input_shapes.hpp"
#include "src/graph/op_table.hpp"

namespace pare {

namespace {

struct OpRow {
  int64_t nodes = 0;
  int64_t parameters = 0;
  int64_t macs = 0;
  const OpInfo* info = nullptr;
};

const char* status_of(const OpInfo* info) {
  if (info == nullptr) return "unsupported";
  return info->gradient == Gradient::none ? "runs without gradient" : "supported";
}

std::map<std::string, OpRow> count_ops(const GraphCost& cost) {
  std::map<std::string, OpRow> rows;
  for (const auto& node : cost.nodes) {
    auto& row = rows[op_name(*node.node)];
    row.info = find_op(node.node->domain, node.node->op);
    ++row.nodes;
    row.parameters += node.parameters;
    if (node.macs > 0) row.macs += node.macs;
  }
  return rows;
}

std::string dims_text(const Port& port) {
  if (!port.ranked) return "any shape";
  if (port.dims.empty()) return "scalar";
  std::string text;
  for (const auto& dim : port.dims) {
    if (!text.empty()) text += "x";
    text += dim.size >= 0 ? fmt::format("{}", dim.size) : dim.symbol.empty() ? "?" : dim.symbol;
  }
  return text;
}

std::string ports_text(const Graph& graph) {
  Table table({"", "name", "type", "shape"});
  const auto add = [&](const char* kind, const std::vector<Port>& ports) {
    for (const auto& port : ports) {
      const auto& value = graph.value(port.value);
      table.add({kind, value.name, dtype_name(value.dtype), dims_text(port)});
    }
  };
  add("input", graph.inputs);
  add("output", graph.outputs);
  return table.text();
}

// A table of the operators; the same rows go to the report's `model.ops`.
std::string describe_ops(const GraphCost& cost, Json& model) {
  Table table({"operator", "nodes", "parameters", "MACs", "status"});
  model["ops"] = Json::array();
  for (const auto& [name, row] : count_ops(cost)) {
    table.add({name, count_text(row.nodes), count_text(row.parameters), count_text(row.macs), status_of(row.info)});
    model["ops"].push_back({{"op", name},
                            {"nodes", row.nodes},
                            {"parameters", row.parameters},
                            {"macs", row.macs},
                            {"status", status_of(row.info)}});
  }
  return table.text();
}

// Elements and bytes of each element type, over all constants of the graph.
std::string describe_dtypes(const Graph& graph, Json& model) {
  struct Row {
    int64_t tensors = 0;
    int64_t elements = 0;
    int64_t bytes = 0;
  };
  std::map<std::string, Row> rows;
  for (const auto& value : graph.values) {
    if (!value.constant) continue;
    auto& row = rows[dtype_name(value.constant->dtype)];
    ++row.tensors;
    row.elements += value.constant->elements();
    row.bytes += value.constant->byte_size();
  }
  Table table({"element type", "tensors", "elements", "bytes"});
  model["dtypes"] = Json::array();
  for (const auto& [name, row] : rows) {
    table.add({name, count_text(row.tensors), count_text(row.elements), count_text(row.bytes)});
    model["dtypes"].push_back(
        {{"dtype", name}, {"tensors", row.tensors}, {"elements", row.elements}, {"bytes", row.bytes}});
  }
  return table.text();
}

std::string describe_unsupported(const GraphCost& cost, Json& model) {
  std::string text;
  for (const auto& row : cost.nodes) {
    if (find_op(row.node->domain, row.node->op) != nullptr) continue;
    text += fmt::format("unsupported: {}\n", row.node->label());
    model["unsupported"].push_back({{"node", row.node->name}, {"op", op_name(*row.node)}});
  }
  return text;
}

std::string totals_text(const Model& model, const GraphCost& cost) {
  Table table({"total", ""});
  table.add({"parameters", count_text(cost.parameters)});
  table.add({"nonzero", count_text(cost.nonzero)});
  table.add({"sparsity", percent_text(cost.sparsity())});
  table.add({"MACs", count_text(cost.macs)});
  table.add({"bytes", count_text(static_cast<int64_t>(model.file_bytes))});
  return table.text();
}

}  // namespace

ExitCode run_inspect(const InspectOptions& options, RunContext& context) {
  const Model model = load_model(options.model);
  const InputShapes shapes = parse_input_shapes(options.shapes);
  const Graph graph = with_context(options.model, [&] {
    Graph read = read_graph(model.onnx);
    set_input_shapes(read, shapes);
    return read;
  });
  const GraphCost cost = with_context(options.model, [&] { return graph_cost(graph); });
  Json& section = context.report.model;
  section = model_json(model, graph);
  context.report.result = result_json(cost, {{options.model, model.format, model.file_bytes, model.sha256}});
  section["opset"] = graph.opset;
  section["unsupported"] = Json::array();
  context.report.layers = layers_json(cost);

  std::string text =
      fmt::format("{}: {}, opset {}\n\n{}\n", options.model, model.format, graph.opset, ports_text(graph));
  text += describe_ops(cost, section) + "\n";
  text += describe_dtypes(graph, section) + "\n";
  text += totals_text(model, cost);
  if (const auto unsupported = describe_unsupported(cost, section); !unsupported.empty()) text += "\n" + unsupported;
  if (options.groups) {
    text.append("\n").append(with_context(options.model, [&] { return describe_groups(graph, section); }));
    if (const auto blocks = with_context(options.model, [&] { return describe_blocks(graph, section); });
        !blocks.empty())
      text.append("\n").append(blocks);
  }
  context.print(text);
  const auto unknown =
      std::count_if(cost.nodes.begin(), cost.nodes.end(), [](const NodeCost& row) { return row.macs < 0; });
  if (unknown > 0)
    context.warn(fmt::format("the MACs are a lower bound: shapes that they need are unknown at {} of {} nodes", unknown,
                             cost.nodes.size()));
  return ExitCode::ok;
}

}  // namespace pare
