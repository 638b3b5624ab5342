// What quantize and qat do with a quantized graph: write it, read it again, say how small it became.
#pragma once

#include <functional>

#include "commands/options_output.hpp"
#include "commands/run_context.hpp"
#include "formats/model_io.hpp"

namespace pare {

struct QuantizedOutput {
  std::vector<WrittenFile> files;
  Graph graph;           // of the first file, as it was read again
  bool smaller = false;  // every file is smaller than the input
};

// Writes `graph` to every output of `output`, with one more step of lineage ({"command", "settings"}; "from" is added),
// and reads each file again. `accept` is given the model before anything is written or replaced. `check` is given each
// graph that was read; when it throws, or a file does not load, the file is removed and the error becomes exit 1. Fills
// the report's `result` and metrics.bytes_ratio, and warns of files that are not smaller than the input.
QuantizedOutput write_quantized(const Model& origin, const Graph& graph, Json lineage, const ModelOutputOptions& output,
                                const std::function<void(const Graph&)>& check, RunContext& context,
                                const std::function<void(const OnnxModel&)>& accept = nullptr);

}  // namespace pare
