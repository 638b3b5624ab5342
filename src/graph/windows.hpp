// Sliding windows of Conv and the pooling operators: one reading of kernel, strides, pads, dilations, auto_pad and
// ceil_mode for shape inference and execution.
#pragma once

#include "src/graph/graph.hpp"

namespace pare {

struct Windows {
  std::vector<int64_t> kernel;
  std::vector<int64_t> strides;
  std::vector<int64_t> dilations;
  std::vector<int64_t> pads_begin;
  std::vector<int64_t> pads_end;
  std::string auto_pad;  // "NOTSET", "VALID", "SAME_UPPER" or "SAME_LOWER"
  bool ceil_mode = false;

  // Sets the pads of SAME_* for an input of these spatial sizes; no effect otherwise.
  void resolve_pads(const std::vector<int64_t>& input_sizes);
  // Output size of spatial dimension `i` for an input of that size; -1 for an unknown one.
  int64_t output_size(size_t i, int64_t input_size) const;
  bool symmetric() const { return pads_begin == pads_end; }
};

// Reads the node's attributes for windows of these sizes. Throws (exit 3) when an attribute's length does not fit.
Windows windows_of(const Node& node, const std::vector<int64_t>& kernel);

}  // namespace pare
