// A model in an HDF5 file, without loss: `load_hdf5_model` gives the ONNX bytes that `save_hdf5_model` was given, with
// each tensor's data as raw_data. README.md describes the layout.
#pragma once

#include <string>

#include "formats/model_io.hpp"

namespace pare {

// The model with its tensors put back; the stored hashes are checked. Throws (exit 3) naming the first damaged tensor
// or attribute. Leaves Model's path, format, sha256 and file_bytes to load_model.
Model load_hdf5_model(const std::string& path);

// Writes atomically. Takes memory for the whole file and for the model once more. Throws exit 1 when it cannot be
// written, exit 3 when the model's tensors are malformed.
void save_hdf5_model(const Model& model, const std::string& path, const SaveOptions& options = {});

}  // namespace pare
