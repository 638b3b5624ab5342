// Models by file name: the extension picks the format, for reading and for writing.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "formats/onnx_model.hpp"
#include "src/core/json.hpp"

namespace pare {

// How a tensor's zeros are meant: names of tensors whose zeros stay zero in later training steps.
using MaskedTensors = std::vector<std::string>;

struct Model {
  std::string path;
  std::string format;  // "onnx" or "hdf5"
  std::string sha256;  // of the file
  size_t file_bytes = 0;
  OnnxModel onnx;        // for HDF5: the ONNX with its tensors put back
  MaskedTensors masked;  // from metadata `pare.mask`, or from the HDF5 file
  Json lineage;          // list of steps that made the file, oldest first; empty array when unknown
};

// How a model is written where the format has a choice.
struct SaveOptions {
  bool entropy_code = false;  // HDF5: the smallest form of tensors, which takes longer to write and to read
};

// A file format; the table is in model_io.cpp. `load` and `save` are null in executables that do not link the format.
struct Format {
  const char* name;       // "onnx"
  const char* extension;  // ".onnx"
  Model (*load)(const std::string& path);
  void (*save)(const Model& model, const std::string& path, const SaveOptions& options);
};

// The format of the path's extension; throws (exit 2) naming the known ones.
const Format& format_of(const std::string& path);

// Loads a model file; errors gain `path` as context.
Model load_model(const std::string& path);

struct WrittenFile {
  std::string path;
  std::string format;
  size_t bytes = 0;
  std::string sha256;
};

// Protobuf readers refuse messages of 2 GB; above this size tensors go to a file beside the model.
inline constexpr size_t largest_onnx = size_t{1500} << 20;

// Writes an ONNX file with these entries added to its metadata. When it would have more than `largest` bytes, the data
// of its tensors goes to `path`.data; both files appear, or none.
void save_onnx(const OnnxModel& model, const std::map<std::string, std::string>& metadata, const std::string& path,
               size_t largest);

// Writes the model atomically in the format of the path's extension. `model.onnx` holds the tensors as they shall be
// written.
WrittenFile save_model(const Model& model, const std::string& path, const SaveOptions& options = {});

}  // namespace pare
