// The figures of a model that every report shows.
#pragma once

#include <string>
#include <vector>

#include "formats/model_io.hpp"
#include "src/core/json.hpp"
#include "src/graph/cost.hpp"

namespace pare {

// The report's `model`: path, sha256, inputs, outputs, parameters, nonzero, macs, bytes.
Json model_json(const Model& model, const Graph& graph);

// The report's `result`: parameters, nonzero, sparsity, macs, bytes (with one file), files.
Json result_json(const GraphCost& cost, const std::vector<WrittenFile>& files);

// "Conv", or "com.microsoft.BiasGelu" outside the default domain.
std::string op_name(const Node& node);

// The report's `layers`: a row for each use of a weight of rank 2 or more, with its sparsity and the MACs of its node.
Json layers_json(const GraphCost& cost);

}  // namespace pare
