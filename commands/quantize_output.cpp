#include "commands/quantize_output.hpp"

#include <filesystem>

#include "commands/model_summary.hpp"
#include "formats/onnx_writer.hpp"
#include "src/core/error.hpp"
#include "src/core/table.hpp"

namespace pare {
namespace {

// A graph that came out of our own hands: whatever is wrong with it is not the user's fault.
Graph read_back(const OnnxModel& onnx, const std::function<void(const Graph&)>& check) {
  try {
    Graph graph = read_graph(onnx);
    check(graph);
    return graph;
  } catch (const Error& error) {
    fail_run("the quantized model does not load ({}); please report it", error.what());
  }
}

}  // namespace

QuantizedOutput write_quantized(const Model& origin, const Graph& graph, Json lineage, const ModelOutputOptions& output,
                                const std::function<void(const Graph&)>& check, RunContext& context,
                                const std::function<void(const OnnxModel&)>& accept) {
  Model result = origin;
  result.onnx = with_graph(origin.onnx, graph);
  lineage["from"] = origin.sha256;
  result.lineage.push_back(std::move(lineage));
  std::erase_if(result.masked, [&](const std::string& name) {
    const ValueId id = graph.find(name);
    return id == no_value || !graph.value(id).constant;
  });
  read_back(result.onnx, check);
  if (accept) accept(result.onnx);
  QuantizedOutput written;
  written.smaller = true;
  for (const std::string& path : output.out) {
    written.files.push_back(save_model(result, path, {output.entropy_code}));
    try {
      Graph again = read_back(load_model(path).onnx, check);
      if (written.files.size() == 1) written.graph = std::move(again);
    } catch (const Error& error) {
      std::error_code ignored;
      std::filesystem::remove(path, ignored);
      throw Error(ExitCode::failure, error.within(path).what());
    }
    const size_t bytes = written.files.back().bytes;
    if (bytes < origin.file_bytes) continue;
    written.smaller = false;
    context.warn(fmt::format("{} is not smaller than the input ({} against {})", path,
                             bytes_text(static_cast<int64_t>(bytes)),
                             bytes_text(static_cast<int64_t>(origin.file_bytes))));
  }
  context.report.result = result_json(graph_cost(written.graph), written.files);
  if (written.files.size() == 1)
    context.report.metrics["bytes_ratio"] =
        static_cast<double>(written.files[0].bytes) / static_cast<double>(origin.file_bytes);
  return written;
}

}  // namespace pare
