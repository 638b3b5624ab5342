#include "commands/options_channels.hpp"

#include <CLI/App.hpp>

#include "commands/option_kinds.hpp"
#include "src/core/error.hpp"

namespace pare {

void add_channel_options(CLI::App& app, ChannelOptions& options) {
  const NumberRange share{0, 1, true, true};
  add_real(app, "--keep-macs", share, options.keep_macs, "share of the MACs that the result has at most")
      ->default_str("");
  add_real(app, "--keep-params", share, options.keep_params, "share of the parameters, instead")->default_str("");
  add_real(app, "--keep-latency", share, options.keep_latency, "share of the time, in ONNX Runtime where it is found")
      ->default_str("");
  add_integer(app, "--round-to", {1, 1 << 20}, options.round_to, "widths become multiples of it");
  add_integer(app, "--min-keep", {1, 1 << 20}, options.min_keep, "the narrowest that a layer becomes");
  add_real(app, "--group-penalty", {0, 1e6}, options.group_penalty, "decay that grows on what goes next; 0: none");
  add_choice(app, "--group-score", {"sum", "mean", "max"}, options.group_score, "of the layers that share channels");
}

bool removes_channels(const std::string& structure) { return structure == "channel" || structure == "head"; }

bool makes_smaller(const std::string& structure) { return removes_channels(structure) || structure == "residual"; }

void check_channels(const ChannelOptions& options, const std::string& structure, double sparsity) {
  const int given = (sparsity > 0 ? 1 : 0) + (options.keep_macs > 0 ? 1 : 0) + (options.keep_params > 0 ? 1 : 0) +
                    (options.keep_latency > 0 ? 1 : 0);
  if (!makes_smaller(structure)) {
    if (options.targets())
      fail_usage("--keep-macs, --keep-params, --keep-latency: work with --structure channel, head or residual (got {})",
                 structure);
    return;
  }
  if (given != 1)
    fail_usage("--structure {}: needs one of --sparsity, --keep-macs, --keep-params, --keep-latency (got {})",
               structure, given);
}

}  // namespace pare
