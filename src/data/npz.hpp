// NumPy's archive of arrays (.npz): a zip file of .npy members, as numpy.lib.format describes them.
#pragma once

#include <string>
#include <vector>

#include "formats/onnx_model.hpp"
#include "src/data/open_data.hpp"

namespace pare {

// Writes the tensors, uncompressed, as members `<name>.npy`; the file appears complete or not at all. Equal tensors
// give equal bytes. Throws (exit 3) for an element type that NumPy does not have, (exit 1) when the file cannot be
// written.
void save_npz(const std::vector<NamedTensor>& tensors, const std::string& path);

// Reads every array, uncompressed or deflated, in the order of the archive; names are without `.npy`. Throws (exit 3)
// naming file and member when the archive or an array is malformed or of another type than numbers.
std::vector<NamedTensor> load_npz(const std::string& path);

// True for a zip file.
bool is_npz(const std::string& path);
DatasetPtr open_npz(const std::string& path, const DataRequest& request);

}  // namespace pare
