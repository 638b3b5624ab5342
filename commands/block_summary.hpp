// Residual blocks as reports and tables show them.
#pragma once

#include <string>

#include "compress/residual_blocks.hpp"
#include "src/core/json.hpp"

namespace pare {

// The report's `blocks`: the Add, nodes, parameters and MACs of the branch at the sizes of `sized`; with `removed`,
// whether it goes and its score when that was decided. Both may be empty.
Json blocks_json(const Graph& sized, const std::vector<ResidualBlock>& blocks, const std::vector<bool>& removed,
                 const std::vector<double>& scores);
std::string blocks_text(const Graph& sized, const std::vector<ResidualBlock>& blocks, const std::vector<bool>& removed,
                        const std::vector<double>& scores);

// The report's `kept`: Add nodes whose branches stay, and why.
Json kept_adds_json(const std::vector<KeptAdd>& kept);

// Tables of the residual blocks and of the Adds that are none; the same goes to `section` as residual_blocks and
// kept_adds. Nothing where there are no Adds of computed values.
std::string describe_blocks(const Graph& read, Json& section);

}  // namespace pare
