// The figures of a model that every report shows.
#pragma once

#include <vector>

#include "formats/model_io.hpp"
#include "src/core/json.hpp"
#include "src/graph/cost.hpp"

namespace pare {

// The report's `model`: path, sha256, inputs, outputs, parameters, nonzero, macs, bytes.
Json model_json(const Model& model, const Graph& graph);

// The report's `result`: parameters, nonzero, sparsity, macs, bytes (with one file), files.
Json result_json(const GraphCost& cost, const std::vector<WrittenFile>& files);

}  // namespace pare
