// The figures of a model that every report shows.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "formats/model_io.hpp"
#include "src/core/json.hpp"

namespace pare {

struct ModelSummary {
  int64_t parameters = 0;  // elements of the floating-point constants that nodes use as weights
  int64_t nonzero = 0;
  std::optional<int64_t> macs;  // of one sample; nothing when a shape that it needs is unknown

  double sparsity() const;  // fraction of parameters that are zero; 0 for a model without parameters
};

ModelSummary summarize(const Graph& graph);

// The report's `model`: path, sha256, inputs, outputs, parameters, nonzero, macs, bytes.
Json model_json(const Model& model, const Graph& graph);

// The report's `result`: parameters, nonzero, sparsity, macs, bytes (with one file), files.
Json result_json(const ModelSummary& summary, const std::vector<WrittenFile>& files);

}  // namespace pare
