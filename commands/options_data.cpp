#include "commands/options_data.hpp"

#include <CLI/App.hpp>

#include "commands/option_kinds.hpp"
#include "src/core/error.hpp"

namespace pare {

void add_data_options(CLI::App& app, DataOptions& options, DataUse use) {
  const bool training = use == DataUse::training;
  app.option_defaults()->group("Data");
  auto* data =
      add_text(app, "--data", "PATH", options.data, "samples: a folder of IDX files (MNIST layout, .gz or not)");
  if (training) data->required();
  add_choice(app, "--data-kind", {"auto", "idx"}, options.data_kind, "how to read --data");
  add_choice(app, "--split", {"train", "test"}, options.split, "which part of --data");
  if (training) {
    add_text(app, "--val", "PATH", options.val, "validation samples, of the same kind as --data");
    add_integer(app, "--holdout", at_least_zero, options.holdout, "split off N samples by seed to validate on");
  }
  add_integer(app, "--limit", at_least_zero, options.limit, "only the first N after a seeded shuffle; 0: all");
  add_real(app, "--scale", above_zero, options.scale, "input = (raw * scale - mean) / std");
  add_reals(app, "--mean", any_number, options.mean, "one number, or one a channel")->default_str("0");
  add_reals(app, "--std", above_zero, options.std, "one number, or one a channel")->default_str("1");
}

void check_data_options(const DataOptions& options) {
  if (!options.data.empty()) check_exists("--data", options.data, false);
  if (options.val.empty()) return;
  check_exists("--val", options.val, false);
  if (options.holdout > 0) fail_usage("--holdout: cannot be combined with --val; give one of them");
}

}  // namespace pare
