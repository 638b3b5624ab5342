// The state of a training run in one HDF5 file: tensors by name, and a JSON document that says of what run it is.
#pragma once

#include "formats/byte_rope.hpp"
#include "src/core/json.hpp"
#include "src/exec/aten.hpp"

namespace pare {

struct Checkpoint {
  Json settings;  // what must be equal for a run to go on
  Json state;     // steps done, history
  std::map<std::string, at::Tensor> tensors;
  ByteRope graph = {};  // of the model that is trained: ONNX without the weights
};

// Replaces the file atomically. Tensors are stored in their own type, row-major.
void save_checkpoint(const Checkpoint& checkpoint, const std::string& path);

// Copies the stored tensors into `checkpoint.tensors` (same names, shapes and types) and fills `state`. Throws (exit 2)
// naming the first setting that differs, and (exit 3) when the file is damaged or holds other tensors.
void load_checkpoint(Checkpoint& checkpoint, const std::string& path);

}  // namespace pare
