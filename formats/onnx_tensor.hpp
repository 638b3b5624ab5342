// TensorProto: decoding in every form the specification allows, and replacing its data.
#pragma once

#include <optional>
#include <string>

#include "formats/onnx_external.hpp"
#include "formats/onnx_model.hpp"

namespace pare {

// Decodes a TensorProto that is a part of `owner` (raw_data is aliased, other forms are copied). External data is
// mapped from `folder`. A tensor without any data has empty `data`. Throws (exit 3) naming the tensor when data and
// shape disagree.
NamedTensor read_tensor(const Bytes& owner, std::string_view message, const std::string& folder);

// Decodes a SparseTensorProto as the dense tensor that it stands for. Throws (exit 3) naming the tensor when indices
// leave the shape, or the shape is out of all proportion to what is stored.
NamedTensor read_sparse_tensor(const Bytes& owner, std::string_view message, const std::string& folder);

// The file that holds the TensorProto's data, relative to the model's folder; empty when it holds them itself.
std::string external_location(std::string_view message);

// Whether the TensorProto keeps its data in another file.
bool has_external_data(std::string_view message);

// The TensorProto with its data fields replaced by raw_data = `data` (none when empty), all other fields as they were.
ByteRope with_tensor_data(const Bytes& message, const Bytes& data);

// The TensorProto with its data in another file.
ByteRope with_external_reference(const Bytes& message, const ExternalReference& reference);

}  // namespace pare
