// Which samples a command reads, and how raw values become model inputs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace pare {

// --data --data-kind --split --val --holdout --limit --scale --mean --std
struct DataOptions {
  std::string data;                // empty: no data
  std::string data_kind = "auto";  // "auto" or a data format's name
  std::string split;               // "train" or "test"; the command's default is set before add_data_options
  std::string val;                 // path of a validation set; empty: none (training commands only)
  int64_t holdout = 0;         // samples split off the training set by seed, for validation (training commands only)
  int64_t limit = 0;           // first N after a seeded shuffle; 0: all
  double scale = 1.0 / 255.0;  // input = (raw * scale - mean) / std
  std::vector<double> mean;    // one for all channels or one a channel; empty: 0
  std::vector<double> std;     // likewise; empty: 1
};

enum class DataUse { training, evaluation };

// `options.split` holds the command's default. --val and --holdout exist for training only.
void add_data_options(CLI::App& app, DataOptions& options, DataUse use);

// Refuses (exit 2) paths that do not exist, and --val together with --holdout.
void check_data_options(const DataOptions& options);

}  // namespace pare
