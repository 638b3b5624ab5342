// What pare knows of each operator without running it. The rows are in op_list.def.
#pragma once

#include <span>

#include "src/graph/graph.hpp"
#include "src/graph/shape_rules.hpp"

namespace pare {

enum class Gradient { none, differentiable };

struct OpInfo {
  const char* domain;
  const char* op;
  Gradient gradient;
  ShapeRule shape_rule;
};

std::span<const OpInfo> op_table();

// The row of a node's operator, or null when pare does not run it.
const OpInfo* find_op(std::string_view domain, std::string_view op);

// Throws (exit 3) naming the first node whose operator is not in the table, and how many more there are.
void check_supported(const Graph& graph);

}  // namespace pare
