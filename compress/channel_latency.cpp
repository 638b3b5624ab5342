#include "compress/channel_latency.hpp"

#include <algorithm>

namespace pare {
namespace {

// Groups whose layers have a smaller share of the MACs are not measured: noise would be all that is seen.
constexpr double least_macs = 0.002;
constexpr size_t widths_a_group = 3;

// The share of the MACs in layers that have the group: what narrowing it to nothing would save.
double macs_share(const ChannelCost& cost, const ChannelGroups& groups, size_t group) {
  Widths widths = ChannelCost::full(groups);
  const double whole = cost.macs(widths);
  if (whole == 0) return 0;
  widths[group] = 0;
  return 1 - cost.macs(widths) / whole;
}

}  // namespace

ChannelLatency::ChannelLatency(const ChannelGroups& groups, const std::vector<MeasuredWidth>& measured)
    : cost_(groups), points_(groups.groups.size()) {
  whole_ = cost_.macs(ChannelCost::full(groups));
  for (const MeasuredWidth& row : measured) {
    const double part = macs_share(cost_, groups, row.group);
    if (part <= 0) continue;
    points_[row.group].push_back({static_cast<double>(row.width), std::clamp(1 - (1 - row.share) / part, 0.0, 1.0)});
  }
  for (size_t g = 0; g < points_.size(); ++g) {
    auto& points = points_[g];
    const auto size = static_cast<double>(groups.groups[g].size());
    // What was not measured counts as its MACs.
    if (points.empty()) points.push_back({0, 0});
    points.push_back({size, 1});
    std::sort(points.begin(), points.end(), [](const Point& a, const Point& b) { return a.width < b.width; });
    for (size_t i = 1; i < points.size(); ++i) points[i].effect = std::max(points[i].effect, points[i - 1].effect);
    for (Point& point : points) point.effect *= size;
  }
}

double ChannelLatency::effect(size_t group, int64_t width) const {
  const auto& points = points_[group];
  const auto at = static_cast<double>(width);
  if (at <= points.front().width) return points.front().effect;
  for (size_t i = 1; i < points.size(); ++i) {
    if (at > points[i].width) continue;
    const double t = (at - points[i - 1].width) / (points[i].width - points[i - 1].width);
    return points[i - 1].effect + t * (points[i].effect - points[i - 1].effect);
  }
  return points.back().effect;
}

double ChannelLatency::share(const Widths& widths) const {
  std::vector<double> effects;
  for (size_t g = 0; g < widths.size(); ++g) effects.push_back(effect(g, widths[g]));
  return whole_ == 0 ? 1 : cost_.macs_at(effects) / whole_;
}

std::vector<MeasuredWidth> measure_widths(const ChannelGroups& groups, const std::vector<bool>& selected,
                                          const ChannelLimits& limits, const WidthMeter& meter) {
  const ChannelCost cost(groups);
  std::vector<MeasuredWidth> table;
  for (size_t g = 0; g < groups.groups.size(); ++g) {
    if (!selected[g] || macs_share(cost, groups, g) < least_macs) continue;
    // Evenly spread over the legal widths, the narrowest among them, the whole width aside.
    const std::vector<int64_t> legal = legal_widths(groups.groups[g], limits);
    const size_t steps = std::min(widths_a_group, legal.size() - 1);
    for (size_t k = 1; k <= steps; ++k) {
      Widths widths = ChannelCost::full(groups);
      widths[g] = legal[k * (legal.size() - 1) / steps];
      table.push_back({g, widths[g], meter(widths)});
    }
  }
  return table;
}

MeasuredChoice choose_by_latency(const ChannelGroups& groups, const GroupScores& scores,
                                 const std::vector<bool>& selected, const ChannelLimits& limits,
                                 const WidthMeter& meter, double target) {
  constexpr int tries = 8;
  // Nearer than this to the target is near enough.
  constexpr double near = 0.97;
  MeasuredChoice best;
  best.table = measure_widths(groups, selected, limits, meter);
  const ChannelLatency latency(groups, best.table);
  const auto at = [&](double share) {
    return choose_widths(
        groups, scores, selected, limits, [&](const Widths& w) { return latency.share(w); }, share);
  };
  // Between shares of the table whose widths were measured at most at (`low`) and above (`high`) the target.
  double aim = target, low = 0, high = 1;
  best.choice = at(0);
  best.choice.cost = meter(best.choice.widths);
  best.choice.reached = best.choice.cost <= target;
  best.predicted = latency.share(best.choice.widths);
  Widths last;
  bool met = false;
  for (int i = 0; best.choice.reached && i < tries && best.choice.cost < near * target; ++i) {
    ChannelChoice choice = at(aim);
    double next = (low + high) / 2;
    // The same widths again, or none: those that are next lie further on, or between.
    if (choice.reached && choice.widths != last) {
      last = choice.widths;
      const double predicted = choice.cost;
      choice.cost = meter(choice.widths);
      met = choice.cost <= target;
      next = aim * target / choice.cost;
      if (met && choice.cost > best.choice.cost) best.choice = choice, best.predicted = predicted;
    } else if (!choice.reached) {
      met = true;
    }
    (met ? low : high) = aim;
    aim = next > low && next < high ? next : (low + high) / 2;
  }
  return best;
}

}  // namespace pare
