// GroupNormalization as opsets 18 to 20 define it, in terms of today's operators.
#pragma once

#include "src/graph/graph.hpp"

namespace pare {

// Before opset 21, GroupNormalization has one scale and one bias a group: it is InstanceNormalization of the groups,
// between a Reshape to [N, groups, the rest] and one back.
void expand_group_scales(Graph& graph);

}  // namespace pare
