// Where a model came from and which of its zeros are meant: Model::lineage and Model::masked as metadata_props of the
// ONNX.
#pragma once

#include <map>
#include <string>

#include "formats/model_io.hpp"

namespace pare {

inline constexpr const char* lineage_key = "pare.lineage";  // JSON array of steps
inline constexpr const char* mask_key = "pare.mask";        // JSON array of tensor names

// Sets `lineage` and `masked` from the ONNX metadata; empty where it has none. Throws (exit 3) naming the metadata key
// when its value is not what pare writes.
void read_provenance(Model& model);

// The metadata_props that the ONNX must gain to say what `model` says; empty when it says so already, so that a model
// that was only read is written byte for byte as it was.
std::map<std::string, std::string> missing_provenance(const Model& model);

}  // namespace pare
