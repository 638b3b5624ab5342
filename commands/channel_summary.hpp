// Channel groups and barriers as reports and tables show them.
#pragma once

#include <string>

#include "compress/channel_cost.hpp"
#include "src/core/json.hpp"

namespace pare {

// "conv1.weight, fc": names of a group's members on one side, each once, at most `most` of them.
std::string members_text(const Graph& graph, const ChannelGroup& group, MemberSide side, size_t most);

// The report's `widths`: of each group its layers, and how wide it was and is.
Json widths_json(const Graph& graph, const ChannelGroups& groups, const Widths& widths);

// The report's `barriers`: node, op, reason, channels.
Json barriers_json(const std::vector<Barrier>& barriers);
std::string barriers_text(const std::vector<Barrier>& barriers);

// Tables of the channel groups, of the heads where there are some, and of the barriers; the same goes to `section` as
// groups, heads and barriers.
std::string describe_groups(const Graph& read, Json& section);

}  // namespace pare
