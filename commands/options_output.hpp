// What a command writes, and what it says while it runs.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace pare {

// --report --gate -q -v --log
struct ReportOptions {
  std::vector<std::string> reports;  // `.json` files; `-` is stdout
  std::vector<std::string> gates;
  bool quiet = false;
  bool verbose = false;
  std::string log;
};

// -o --force --entropy-code --dry-run
struct ModelOutputOptions {
  std::vector<std::string> out;  // at least one
  bool force = false;
  bool dry_run = false;
  bool entropy_code = false;  // of HDF5 outputs
};

void add_report_options(CLI::App& app, ReportOptions& options);
void add_model_output_options(CLI::App& app, ModelOutputOptions& options);

// Refuses (exit 2) outputs that exist without --force, that are named twice, whose extension is no model format, or
// whose folder cannot be written.
void check_model_outputs(const ModelOutputOptions& options);

// --entropy-code
void add_entropy_option(CLI::App& app, bool& entropy_code);
// Refuses (exit 2) --entropy-code where no output is HDF5.
void check_entropy_option(bool entropy_code, const std::vector<std::string>& out);

// The names under which a gate can ask for the size of these outputs: "result.bytes" for one, "result.bytes.h5" for
// each.
std::vector<std::string> measurable_sizes(const std::vector<std::string>& out);

// The model files that a command on `model` reads and writes.
std::vector<std::string> models_with(const std::string& model, const ModelOutputOptions& output);

}  // namespace pare
