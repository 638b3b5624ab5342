// How long a model runs as a function of the widths of its channel groups, from a few measurements, and the widths that
// meet a target in time.
#pragma once

#include "compress/channel_selection.hpp"

namespace pare {

// The time of the graph with these widths, as a share of the time with all: a measurement.
using WidthMeter = std::function<double(const Widths&)>;

// One group narrowed alone.
struct MeasuredWidth {
  size_t group = 0;
  int64_t width = 0;
  double share = 1;
};

class ChannelLatency {
 public:
  // `measured`: of some groups some widths; between them and the whole width times are interpolated, below the
  // narrowest they stay.
  ChannelLatency(const ChannelGroups& groups, const std::vector<MeasuredWidth>& measured);

  // The share of the time that these widths take. A layer's time is its MACs' share of the whole at widths in effect:
  // what a group narrowed alone saves, as a share of the MACs of the layers that have it, says how wide it is in
  // effect. It never rises when a width falls.
  double share(const Widths& widths) const;

 private:
  struct Point {
    double width;
    double effect;
  };

  double effect(size_t group, int64_t width) const;

  ChannelCost cost_;
  double whole_ = 1;
  std::vector<std::vector<Point>> points_;  // by group, from the narrowest to the whole
};

// Measures each selected group alone at a few of its legal widths. Groups that take next to no part in the MACs are
// left out.
std::vector<MeasuredWidth> measure_widths(const ChannelGroups& groups, const std::vector<bool>& selected,
                                          const ChannelLimits& limits, const WidthMeter& meter);

struct MeasuredChoice {
  ChannelChoice choice;  // its cost is the share of the time that was measured
  double predicted = 1;  // by the table
  std::vector<MeasuredWidth> table;
};

// The widths of which the table predicts the target, corrected by measuring them until what is measured is at most
// `target`, and not much less. Not reached: the narrowest.
MeasuredChoice choose_by_latency(const ChannelGroups& groups, const GroupScores& scores,
                                 const std::vector<bool>& selected, const ChannelLimits& limits,
                                 const WidthMeter& meter, double target);

}  // namespace pare
