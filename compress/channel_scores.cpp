#include "compress/channel_scores.hpp"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "src/core/error.hpp"
#include "src/core/random.hpp"

namespace pare {
namespace {

// Importance of each index of an axis.
std::vector<double> along(const std::vector<double>& elements, const Shape& shape, size_t axis) {
  size_t inner = 1;
  for (size_t k = axis + 1; k < shape.size(); ++k) inner *= static_cast<size_t>(shape[k]);
  const auto size = static_cast<size_t>(shape[axis]);
  std::vector<double> sums(size, 0);
  for (size_t i = 0; i < elements.size(); ++i) sums[i / inner % size] += elements[i];
  return sums;
}

class Scorer {
 public:
  Scorer(const ChannelGroups& groups, GroupScore how) : groups_(groups), how_(how) {
    for (const ChannelGroup& group : groups.groups) {
      scores_.emplace_back(group.units.size(), 0.0);
      weights_.push_back(0);
      for (size_t i = 0; i < group.units.size(); ++i) place_[group.units[i]] = i;
    }
  }

  void add(const Axis& axis, const std::vector<double>& sums) {
    std::map<int32_t, std::vector<double>> by_group;
    const auto labels = groups_.units.labels(axis);
    for (size_t i = 0; i < sums.size(); ++i) {
      const Unit unit = groups_.units.find(labels[i]);
      const int32_t group = groups_.group_of[static_cast<size_t>(unit)];
      if (group < 0) continue;
      auto& here = by_group.try_emplace(group, scores_[static_cast<size_t>(group)].size(), 0.0).first->second;
      here[place_.at(unit)] += sums[i];
    }
    for (auto& [group, here] : by_group) join(static_cast<size_t>(group), here);
  }

  GroupScores finish() {
    for (size_t g = 0; g < scores_.size(); ++g)
      if (how_ == GroupScore::mean && weights_[g] > 0)
        for (double& score : scores_[g]) score /= static_cast<double>(weights_[g]);
    return std::move(scores_);
  }

 private:
  void join(size_t group, const std::vector<double>& here) {
    double mean = 0;
    for (const double score : here) mean += score / static_cast<double>(here.size());
    if (mean == 0) return;
    ++weights_[group];
    for (size_t i = 0; i < here.size(); ++i) {
      double& score = scores_[group][i];
      score = how_ == GroupScore::max ? std::max(score, here[i] / mean) : score + here[i] / mean;
    }
  }

  const ChannelGroups& groups_;
  GroupScore how_;
  GroupScores scores_;
  std::vector<int64_t> weights_;  // that counted
  std::unordered_map<Unit, size_t> place_;
};

}  // namespace

GroupScores group_scores(const Graph& graph, const ChannelGroups& groups, const ElementScores& elements,
                         GroupScore how) {
  Scorer scorer(groups, how);
  std::map<ValueId, std::vector<size_t>> axes;
  for (const ChannelGroup& group : groups.groups)
    for (const GroupMember& member : group.members)
      if (member.side != MemberSide::follower) axes[member.value].push_back(member.axis);
  for (auto& [id, places] : axes) {
    const auto scores = elements(id);
    const Shape& shape = graph.value(id).constant->shape;
    if (!scores || shape.size() < 2) continue;
    if (std::any_of(scores->begin(), scores->end(), [](double score) { return !std::isfinite(score); }))
      fail_input("tensor '{}': has weights or gradients that are not finite, so its channels cannot be ranked",
                 graph.value(id).name);
    std::sort(places.begin(), places.end());
    places.erase(std::unique(places.begin(), places.end()), places.end());
    for (const size_t axis : places)
      scorer.add(groups.axes[static_cast<size_t>(id)][axis], along(*scores, shape, axis));
  }
  GroupScores result = scorer.finish();
  const auto unknown = [](const std::vector<double>& scores) {
    return std::all_of(scores.begin(), scores.end(), [](double score) { return score == 0; });
  };
  if (!result.empty() && std::all_of(result.begin(), result.end(), unknown))
    fail_run("prune: all scores are zero, so nothing says which channels matter; use --importance magnitude");
  return result;
}

ElementScores magnitude_scores(const Graph& graph) {
  return [&graph](ValueId id) -> std::optional<std::vector<double>> {
    std::vector<double> values = to_double(*graph.value(id).constant);
    for (double& value : values) value = std::abs(value);
    return values;
  };
}

GroupScores random_scores(const ChannelGroups& groups, uint64_t seed) {
  GroupScores scores;
  const RandomKey key{seed, random_stream("channels")};
  uint64_t next = 0;
  for (const ChannelGroup& group : groups.groups) {
    scores.emplace_back();
    for (size_t i = 0; i < group.units.size(); ++i) scores.back().push_back(random_uniform(key, next++));
  }
  return scores;
}

}  // namespace pare
