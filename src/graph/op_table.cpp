#include "src/graph/op_table.hpp"

#include <algorithm>
#include <iterator>
#include <set>

#include "src/core/error.hpp"
#include "src/graph/subgraph.hpp"

namespace pare {
namespace {

constexpr OpInfo rows[] = {
#define PARE_OP(domain, op, function, gradient, rule) {domain, #op, Gradient::gradient, shape_rules::rule},
#include "src/graph/op_list.def"
#undef PARE_OP
};

}  // namespace

std::span<const OpInfo> op_table() { return rows; }

const OpInfo* find_op(std::string_view domain, std::string_view op) {
  const auto found = std::find_if(std::begin(rows), std::end(rows),
                                  [&](const OpInfo& row) { return row.op == op && row.domain == domain; });
  return found == std::end(rows) ? nullptr : found;
}

void check_supported(const Graph& graph) {
  const Node* first = nullptr;
  std::set<std::string> ops;
  for_each_graph(graph, [&](const Graph& part) {
    for (const Node& node : part.nodes) {
      if (find_op(node.domain, node.op) != nullptr) continue;
      if (first == nullptr) first = &node;
      ops.insert(node.domain.empty() ? node.op : node.domain + "." + node.op);
    }
  });
  if (first != nullptr)
    fail_input("{}: the operator is not supported (unsupported in this model: {}); `pare inspect` lists the nodes",
               first->label(), fmt::join(ops, ", "));
}

}  // namespace pare
