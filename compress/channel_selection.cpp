#include "compress/channel_selection.hpp"

#include <algorithm>
#include <numeric>

#include <fnmatch.h>

#include "src/core/error.hpp"

namespace pare {
namespace {

// Units of a group by falling score.
std::vector<size_t> ranked(const std::vector<double>& scores) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  return order;
}

// One group from a legal width to the next: the mean score of what goes.
struct Move {
  size_t group;
  int64_t from;
  int64_t to;
  double score;
};

std::vector<Move> moves_of(const ChannelGroups& groups, const GroupScores& scores, const std::vector<bool>& selected,
                           const ChannelLimits& limits, const Widths& present) {
  std::vector<Move> moves;
  for (size_t g = 0; g < groups.groups.size(); ++g) {
    if (!selected[g]) continue;
    const auto order = ranked(scores[g]);
    auto widths = legal_widths(groups.groups[g], limits);
    std::erase_if(widths, [&](int64_t width) { return width > present[g]; });
    for (size_t i = 0; i + 1 < widths.size(); ++i) {
      Move move{g, widths[i], widths[i + 1], 0};
      for (int64_t unit = move.to; unit < move.from; ++unit) move.score += scores[g][order[static_cast<size_t>(unit)]];
      move.score /= static_cast<double>(move.from - move.to);
      if (limits.scope == "layer")
        move.score = 1 - static_cast<double>(move.to) / static_cast<double>(groups.groups[g].size());
      moves.push_back(move);
    }
  }
  // Within a group scores rise as it narrows, up to rounding: a group's moves stay in order.
  for (size_t i = 1; i < moves.size(); ++i)
    if (moves[i].group == moves[i - 1].group) moves[i].score = std::max(moves[i].score, moves[i - 1].score);
  std::stable_sort(moves.begin(), moves.end(), [](const Move& a, const Move& b) { return a.score < b.score; });
  return moves;
}

bool matches(const std::string& glob, const Graph& graph, const ChannelGroup& group) {
  return std::any_of(group.members.begin(), group.members.end(), [&](const GroupMember& member) {
    return ::fnmatch(glob.c_str(), graph.value(member.value).name.c_str(), 0) == 0 ||
           ::fnmatch(glob.c_str(), member.node.c_str(), 0) == 0;
  });
}

}  // namespace

std::vector<int64_t> legal_widths(const ChannelGroup& group, const ChannelLimits& limits) {
  const int64_t step = limits.round_to / std::gcd(limits.round_to, group.width_of_unit);
  const int64_t least = std::max<int64_t>(1, (limits.min_keep + group.width_of_unit - 1) / group.width_of_unit);
  std::vector<int64_t> widths{group.size()};
  for (int64_t width = (group.size() - 1) / step * step; width >= std::max(least, int64_t{1}); width -= step)
    widths.push_back(width);
  return widths;
}

ChannelChoice choose_widths(const ChannelGroups& groups, const GroupScores& scores, const std::vector<bool>& selected,
                            const ChannelLimits& limits, const WidthCost& cost, double target, const Widths* present) {
  const Widths begin = present != nullptr ? *present : ChannelCost::full(groups);
  const std::vector<Move> moves = moves_of(groups, scores, selected, limits, begin);
  const auto after = [&](size_t count) {
    Widths widths = begin;
    for (size_t i = 0; i < count; ++i) widths[moves[i].group] = moves[i].to;
    return widths;
  };
  size_t low = 0, high = moves.size();
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (cost(after(middle)) <= target) high = middle;
    else low = middle + 1;
  }
  ChannelChoice choice{after(low), 0, false};
  choice.cost = cost(choice.widths);
  choice.reached = choice.cost <= target;
  if (!choice.reached) return choice;
  for (bool wider = true; wider;) {
    wider = false;
    for (size_t i = low; i-- > 0;) {
      const Move& move = moves[i];
      if (choice.widths[move.group] != move.to) continue;
      choice.widths[move.group] = move.from;
      const double here = cost(choice.widths);
      if (here <= target) {
        choice.cost = here;
        wider = true;
      } else {
        choice.widths[move.group] = move.to;
      }
    }
  }
  return choice;
}

RemovedUnits removed_units(const ChannelGroups& groups, const GroupScores& scores, const Widths& widths) {
  RemovedUnits removed(groups.units.size(), false);
  for (size_t g = 0; g < groups.groups.size(); ++g) {
    const auto order = ranked(scores[g]);
    for (size_t i = static_cast<size_t>(widths[g]); i < order.size(); ++i)
      removed[static_cast<size_t>(groups.groups[g].units[order[i]])] = true;
  }
  return removed;
}

std::vector<bool> select_groups(const Graph& graph, const ChannelGroups& groups,
                                const std::vector<std::string>& include, const std::vector<std::string>& exclude) {
  std::vector<bool> selected(groups.groups.size(), include.empty());
  const auto apply = [&](const std::vector<std::string>& globs, bool value) {
    for (const std::string& glob : globs) {
      bool any = false;
      for (size_t g = 0; g < selected.size(); ++g) {
        if (!matches(glob, graph, groups.groups[g])) continue;
        selected[g] = value;
        any = true;
      }
      if (!any) fail_usage("'{}' matches no channel group of the model; `pare inspect --groups` lists them", glob);
    }
  };
  apply(include, true);
  apply(exclude, false);
  return selected;
}

}  // namespace pare
