// The graph as an ONNX model: what a command writes after it has changed nodes or shapes. Changes of values alone go
// through edit_onnx(), which leaves the rest of the file as it was.
#pragma once

#include "formats/onnx_model.hpp"

namespace pare {

// The model of `graph`: opset of the default domain max(21, the file's), IR version max(10, the file's); opsets of
// other domains, metadata and unknown fields as in `origin`. Constants that nothing reads are left out, values without
// a name get one. Tensor data is aliased. Throws (exit 3) naming the tensor when it holds strings, which a Graph does
// not keep.
ByteRope write_graph(const Graph& graph, const OnnxModel& origin);

// The same, opened: read_graph() of it gives the graph again.
OnnxModel with_graph(const OnnxModel& origin, const Graph& graph);

}  // namespace pare
