// What a graph costs as a function of the widths of its channel groups, without making it.
#pragma once

#include "compress/channel_groups.hpp"

namespace pare {

// Units that each group keeps.
using Widths = std::vector<int64_t>;

class ChannelCost {
 public:
  explicit ChannelCost(const ChannelGroups& groups);

  // Multiply-accumulates of one sample, as graph_cost() counts them, at the sizes of groups.sized.
  double macs(const Widths& widths) const { return total(macs_, widths); }
  // The same at widths that need not be whole.
  double macs_at(const std::vector<double>& widths) const { return total(macs_, widths); }
  // Elements of the parameters that nodes read, as graph_cost() counts them.
  double parameters(const Widths& widths) const { return total(parameters_, widths); }
  // Channels: units of all groups.
  static double channels(const Widths& widths);
  static Widths full(const ChannelGroups& groups);

 private:
  // A product of axes, each of which keeps the share (fixed + sum of count * kept / size) / length.
  struct Share {
    double length = 1;
    double fixed = 0;
    std::vector<std::pair<int32_t, double>> per_unit;  // group, indices of a unit
  };
  struct Term {
    double amount = 0;
    std::vector<int32_t> shares;
  };

  template <class Number>
  double total(const std::vector<Term>& terms, const std::vector<Number>& widths) const;
  void add_share(Term& term, const ChannelGroups& groups, const Axis& axis);

  std::vector<Share> shares_;
  std::vector<int32_t> share_at_;  // by first label of an axis
  std::vector<Term> macs_;
  std::vector<Term> parameters_;
};

}  // namespace pare
