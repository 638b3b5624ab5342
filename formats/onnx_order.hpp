// The order of nodes in a file.
#pragma once

#include <string_view>
#include <vector>

namespace pare {

// NodeProtos such that each comes behind those whose outputs it reads, itself or in its subgraphs: as they are where
// that holds already, else the file's order as far as possible. ONNX asks for it, but ONNX Runtime does not and its
// quantizer writes files without. Nodes that depend on each other in a circle stay in the file's order.
std::vector<std::string_view> in_topological_order(std::vector<std::string_view> nodes);

}  // namespace pare
