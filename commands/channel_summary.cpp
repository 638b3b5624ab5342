#include "commands/channel_summary.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "src/core/table.hpp"

namespace pare {
namespace {

const char* side_name(MemberSide side) {
  return side == MemberSide::producer ? "producer" : side == MemberSide::consumer ? "consumer" : "follower";
}

Json groups_json(const Graph& graph, const std::vector<ChannelGroup>& groups) {
  Json list = Json::array();
  for (const ChannelGroup& group : groups) {
    Json members = Json::array();
    for (const GroupMember& member : group.members)
      members.push_back({{"tensor", graph.value(member.value).name},
                         {"axis", member.axis},
                         {"width", member.width},
                         {"side", side_name(member.side)},
                         {"node", member.node}});
    list.push_back({{"size", group.size()}, {"width_of_unit", group.width_of_unit}, {"members", std::move(members)}});
  }
  return list;
}

std::string groups_text(const char* what, const Graph& graph, const std::vector<ChannelGroup>& groups) {
  Table table({what, "members", "made by", "read by"});
  for (const ChannelGroup& group : groups)
    table.add({count_text(group.size()), count_text(static_cast<int64_t>(group.members.size())),
               members_text(graph, group, MemberSide::producer, 2),
               members_text(graph, group, MemberSide::consumer, 2)});
  return table.text();
}

}  // namespace

std::string members_text(const Graph& graph, const ChannelGroup& group, MemberSide side, size_t most) {
  std::vector<std::string> names;
  for (const GroupMember& member : group.members) {
    const std::string& name = graph.value(member.value).name;
    if (member.side == side && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  const size_t more = names.size() > most ? names.size() - most : 0;
  names.resize(names.size() - more);
  return fmt::format("{}{}", fmt::join(names, ", "), more > 0 ? fmt::format(" and {} more", more) : "");
}

Json widths_json(const Graph& graph, const ChannelGroups& groups, const Widths& widths) {
  Json rows = Json::array();
  for (size_t g = 0; g < groups.groups.size(); ++g)
    rows.push_back({{"layers", members_text(graph, groups.groups[g], MemberSide::producer, 8)},
                    {"before", groups.groups[g].size()},
                    {"after", widths[g]}});
  return rows;
}

Json barriers_json(const std::vector<Barrier>& barriers) {
  Json list = Json::array();
  for (const Barrier& barrier : barriers)
    list.push_back(
        {{"node", barrier.node}, {"op", barrier.op}, {"reason", barrier.reason}, {"channels", barrier.channels}});
  return list;
}

std::string barriers_text(const std::vector<Barrier>& barriers) {
  Table table({"channels that stay", "at", "because"});
  for (const Barrier& barrier : barriers)
    table.add({count_text(barrier.channels), barrier.op.empty() ? "" : fmt::format("{} '{}'", barrier.op, barrier.node),
               barrier.reason});
  return table.text();
}

std::string describe_groups(const Graph& read, Json& section) {
  const Graph graph = with_folded_sizes(read);
  const ChannelGroups groups = channel_groups(graph, Factor::channels);
  std::vector<ChannelGroup> heads = channel_groups(graph, Factor::heads).groups;
  std::erase_if(heads, [](const ChannelGroup& group) { return !group.heads; });
  section["groups"] = groups_json(graph, groups.groups);
  section["heads"] = groups_json(graph, heads);
  section["barriers"] = barriers_json(groups.barriers);
  std::string text = groups_text("channels", graph, groups.groups);
  if (!heads.empty()) text.append("\n").append(groups_text("heads", graph, heads));
  if (!groups.barriers.empty()) text.append("\n").append(barriers_text(groups.barriers));
  return text;
}

}  // namespace pare
