#include "commands/block_summary.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "compress/channel_groups.hpp"
#include "src/core/table.hpp"
#include "src/graph/cost.hpp"

namespace pare {
namespace {

struct BranchCost {
  int64_t parameters = 0;
  int64_t macs = 0;
};

BranchCost branch_cost(const Graph& sized, const GraphCost& cost, const ResidualBlock& block) {
  BranchCost sum;
  for (const NodeCost& row : cost.nodes) {
    const auto inside = [&](size_t i) { return row.node == &sized.nodes[i]; };
    if (std::none_of(block.nodes.begin(), block.nodes.end(), inside)) continue;
    sum.parameters += row.parameters;
    sum.macs += std::max<int64_t>(0, row.macs);
  }
  return sum;
}

}  // namespace

Json blocks_json(const Graph& sized, const std::vector<ResidualBlock>& blocks, const std::vector<bool>& removed,
                 const std::vector<double>& scores) {
  const GraphCost cost = graph_cost(sized);
  Json rows = Json::array();
  for (size_t i = 0; i < blocks.size(); ++i) {
    const BranchCost branch = branch_cost(sized, cost, blocks[i]);
    Json row = {{"node", blocks[i].name},
                {"from", sized.value(blocks[i].shortcut).name},
                {"nodes", blocks[i].nodes.size()},
                {"parameters", branch.parameters},
                {"macs", branch.macs}};
    if (!removed.empty()) {
      row["removed"] = static_cast<bool>(removed[i]);
      row["score"] = std::isfinite(scores[i]) ? Json(scores[i]) : Json(nullptr);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string blocks_text(const Graph& sized, const std::vector<ResidualBlock>& blocks, const std::vector<bool>& removed,
                        const std::vector<double>& scores) {
  const GraphCost cost = graph_cost(sized);
  const bool decided = !removed.empty();
  std::vector<std::string> header{"residual block", "nodes", "parameters", "MACs"};
  if (decided) header.insert(header.end(), {"score", ""});
  Table table(header);
  for (size_t i = 0; i < blocks.size(); ++i) {
    const BranchCost branch = branch_cost(sized, cost, blocks[i]);
    std::vector<std::string> row{blocks[i].name, count_text(static_cast<int64_t>(blocks[i].nodes.size())),
                                 count_text(branch.parameters), count_text(branch.macs)};
    if (decided) row.insert(row.end(), {fmt::format("{:.4g}", scores[i]), removed[i] ? "removed" : ""});
    table.add(row);
  }
  return table.text();
}

Json kept_adds_json(const std::vector<KeptAdd>& kept) {
  Json rows = Json::array();
  for (const KeptAdd& add : kept) rows.push_back({{"node", add.node}, {"reason", add.reason}});
  return rows;
}

std::string describe_blocks(const Graph& read, Json& section) {
  const Graph graph = with_folded_sizes(read);
  const ResidualBlocks found = residual_blocks(graph);
  const Graph sized = with_sizes(graph, {});
  section["residual_blocks"] = blocks_json(sized, found.blocks, {}, {});
  section["kept_adds"] = kept_adds_json(found.kept);
  std::string text;
  if (!found.blocks.empty()) text += blocks_text(sized, found.blocks, {}, {});
  if (found.kept.empty()) return text;
  Table table({"sums that stay", "because"});
  for (const KeptAdd& add : found.kept) table.add({add.node, add.reason});
  return text + (text.empty() ? "" : "\n") + table.text();
}

}  // namespace pare
