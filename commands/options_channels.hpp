// What `pare prune --structure channel|head|residual` removes: targets, widths, scores.
#pragma once

#include <cstdint>
#include <string>

namespace CLI {
class App;
}

namespace pare {

struct ChannelOptions {
  double keep_macs = 0;     // share of the MACs in (0, 1); 0: not given
  double keep_params = 0;   // share of the parameters
  double keep_latency = 0;  // share of the measured latency
  int64_t round_to = 8;
  int64_t min_keep = 8;
  std::string group_score = "sum";  // sum | mean | max

  double group_penalty = 0;  // decay of what goes next; 0: none

  bool targets() const { return keep_macs > 0 || keep_params > 0 || keep_latency > 0; }
};

void add_channel_options(CLI::App& app, ChannelOptions& options);

// channel or head.
bool removes_channels(const std::string& structure);
// Whether the structure is one whose removal makes the graph smaller: those and residual.
bool makes_smaller(const std::string& structure);

// Refuses (exit 2) no or several targets, and these options with other structures.
void check_channels(const ChannelOptions& options, const std::string& structure, double sparsity);

}  // namespace pare
