// An .onnx file: its bytes, what its header says, where its tensors are, and the same bytes with some tensors replaced.
// Layout: the ModelProto of the ONNX specification (onnx.proto3); nothing is decoded that is not asked for.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "formats/byte_rope.hpp"
#include "formats/onnx_external.hpp"
#include "src/graph/graph.hpp"

namespace pare {

struct OnnxModel {
  std::string path;  // where it was read from; external data is looked for in its folder
  Bytes bytes;       // the ModelProto
  int64_t ir_version = 0;
  std::string producer;
  std::map<std::string, int64_t> opsets;  // by domain, "" is the default domain
  std::map<std::string, std::string> metadata;
};

// A tensor of the graph: an initializer, or the value of a Constant node (named as the node's output). Those of a
// subgraph have "output/attribute/" in front: the first output of the node and the attribute that the subgraph is in.
struct NamedTensor {
  std::string name;
  Tensor tensor;
};

// Reads the header. `bytes` need not be valid: throws (exit 3) with the byte offset when they are not a ModelProto.
OnnxModel open_onnx(Bytes bytes, std::string path);

// All tensors of the graph and its subgraphs in file order, sparse ones aside; data aliases the file where it is stored
// as raw_data. Throws (exit 3) naming the tensor when its data does not fit its shape.
std::vector<NamedTensor> read_tensors(const OnnxModel& model);

// The size of all files beside the model that its tensors lie in.
size_t external_bytes(const OnnxModel& model);

// The graph, normalised to opset 21 semantics; local functions are inlined, and float constants of subgraphs are
// constants of the graph, named as in read_tensors. Throws (exit 3) with node and reason.
Graph read_graph(const OnnxModel& model);

struct OnnxEdit {
  // Called for each tensor of read_tensors() in its order. nullopt leaves it as it is; bytes become its raw_data, with
  // shape and type as before; empty bytes remove the data (for containers that keep it elsewhere).
  std::function<std::optional<Bytes>(const NamedTensor&)> tensor_data;
  // metadata_props that are replaced where they stand, or added at the end.
  std::map<std::string, std::string> metadata;
  // Where tensors' data of 1 KB and more goes; null: into the model.
  ExternalData* external = nullptr;
};

// The model's bytes with the edit applied; everything else, unknown fields too, stays as it is. A tensor with external
// data that the edit leaves alone is written inline, so that the result stands alone.
ByteRope edit_onnx(const OnnxModel& model, const OnnxEdit& edit);

// The model with the named tensors' values replaced. Shapes and types must be those of the file; throws (exit 1)
// otherwise, or when a name is not a tensor of the model.
OnnxModel with_tensors(const OnnxModel& model, const std::map<std::string, Tensor>& tensors);

}  // namespace pare
