// NumPy's archive of arrays (.npz): a zip file of .npy members, as numpy.lib.format describes them.
#pragma once

#include <string>
#include <vector>

#include "formats/onnx_model.hpp"

namespace pare {

// Writes the tensors, uncompressed, as members `<name>.npy`; the file appears complete or not at all. Equal tensors
// give equal bytes. Throws (exit 3) for an element type that NumPy does not have, (exit 1) when the file cannot be
// written.
void save_npz(const std::vector<NamedTensor>& tensors, const std::string& path);

}  // namespace pare
