// Which samples a command reads, and how raw values become model inputs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace CLI {
class App;
}

namespace pare {

// --data --data-kind --split --input --labels --val --holdout --limit --resize --crop --layout --shape --scale --mean
// --std
struct DataOptions {
  std::string data;                 // empty: no data
  std::string data_kind = "auto";   // "auto" or a data format's name
  std::string split;                // "train" or "test"; the command's default is set before add_data_options
  std::vector<std::string> inputs;  // NAME=KEY
  std::string labels;               // array of the labels; empty: the data's own
  std::string val;                  // path of a validation set; empty: none (training commands only)
  int64_t holdout = 0;          // samples split off the training set by seed, for validation (training commands only)
  int64_t limit = 0;            // first N after a seeded shuffle; 0: all
  std::string resize;           // size of images, "256x256" or the shorter side; empty: what the crop needs
  std::string crop;             // size of their middle; empty: the model's
  std::string layout = "auto";  // of the model's images: "nchw", "nhwc" or "auto"
  std::vector<std::string> shapes;  // NAME=1x3x224x224, sizes that the model leaves open
  double scale = 0;                 // input = (raw * scale - mean) / std; 0: 1/255 for uint8, else 1
  std::vector<double> mean;         // one for all channels or one a channel; empty: 0
  std::vector<double> std;          // likewise; empty: 1
};

enum class DataUse { training, evaluation };

// `options.split` holds the command's default. --val and --holdout exist for training only.
void add_data_options(CLI::App& app, DataOptions& options, DataUse use);

// Refuses (exit 2) bindings, sizes and shapes that are none, paths that do not exist, and --val together with
// --holdout.
void check_data_options(const DataOptions& options);

// "NAME=KEY" in two. Throws (exit 2) for a text without `=` or with an empty side.
std::pair<std::string, std::string> split_binding(const std::string& text);

}  // namespace pare
