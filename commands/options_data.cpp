#include "commands/options_data.hpp"

#include <CLI/App.hpp>

#include "commands/option_kinds.hpp"
#include "src/core/error.hpp"
#include "src/data/image_frame.hpp"
#include "src/data/kinds.hpp"
#include "src/graph/input_shapes.hpp"

namespace pare {

void add_data_options(CLI::App& app, DataOptions& options, DataUse use) {
  const bool training = use == DataUse::training;
  app.option_defaults()->group("Data");
  auto* data = add_text(app, "--data", "PATH", options.data, "samples: see --data-kind");
  if (training) data->required();
  std::vector<std::string> kinds{"auto"};
  for (const DataKindName& kind : data_kind_names) kinds.emplace_back(kind.name);
  add_choice(app, "--data-kind", kinds, options.data_kind, "what --data is");
  add_choice(app, "--split", {"train", "test"}, options.split, "which part of --data");
  add_texts(app, "--input", "NAME=KEY", options.inputs, "input NAME of the model takes array KEY of the data");
  add_text(app, "--labels", "KEY", options.labels, "array of the labels");
  if (training) {
    add_text(app, "--val", "PATH", options.val, "validation samples, of the same kind as --data");
    add_integer(app, "--holdout", at_least_zero, options.holdout, "split off N samples by seed to validate on");
  }
  add_integer(app, "--limit", at_least_zero, options.limit, "only the first N after a seeded shuffle; 0: all");
  add_text(app, "--resize", "HxW", options.resize, "of images; one number: the shorter side");
  add_text(app, "--crop", "HxW", options.crop, "middle of the resized images")->default_str("what the model takes");
  add_choice(app, "--layout", {"auto", "nchw", "nhwc"}, options.layout, "of the images that the model takes");
  add_texts(app, "--shape", "NAME=DIMS", options.shapes, "where the model leaves it open: in=1x3x224x224");
  add_real(app, "--scale", above_zero, options.scale, "input = (raw * scale - mean) / std")
      ->default_str("1/255 for uint8");
  add_reals(app, "--mean", any_number, options.mean, "one number, or one a channel")->default_str("0");
  add_reals(app, "--std", above_zero, options.std, "one number, or one a channel")->default_str("1");
}

void check_data_options(const DataOptions& options) {
  for (const std::string& text : options.inputs) split_binding(text);
  parse_input_shapes(options.shapes);
  parse_image_size("--resize", options.resize, true);
  parse_image_size("--crop", options.crop, false);
  if (!options.data.empty()) check_exists("--data", options.data, false);
  if (options.val.empty()) return;
  check_exists("--val", options.val, false);
  if (options.holdout > 0) fail_usage("--holdout: cannot be combined with --val; give one of them");
}

std::pair<std::string, std::string> split_binding(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
    fail_usage("--input {}: no binding (expected NAME=KEY, an input of the model and an array of the data)", text);
  return {text.substr(0, equals), text.substr(equals + 1)};
}

}  // namespace pare
