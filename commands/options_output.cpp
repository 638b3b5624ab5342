#include "commands/options_output.hpp"

#include <algorithm>
#include <filesystem>
#include <set>

#include <CLI/App.hpp>

#include "commands/option_kinds.hpp"
#include "formats/model_io.hpp"
#include "src/core/error.hpp"
#include "src/core/files.hpp"

namespace pare {

void add_report_options(CLI::App& app, ReportOptions& options) {
  app.option_defaults()->group("Report");
  add_texts(app, "--report", "FILE", options.reports, "write a .json or .html report; -: stdout; repeatable");
  add_texts(app, "--gate", "EXPR", options.gates, "exit 4 unless 'accuracy>=0.91' holds; repeatable");
  add_flag(app, "-q,--quiet", options.quiet, "no table and no progress");
  add_flag(app, "-v,--verbose", options.verbose, "also log details on stderr");
  add_text(app, "--log", "FILE", options.log, "append the log, with details, to FILE");
}

void add_model_output_options(CLI::App& app, ModelOutputOptions& options) {
  app.option_defaults()->group("Output");
  add_texts(app, "-o,--out", "FILE", options.out, "written model, .onnx or .h5; repeatable")->required();
  add_flag(app, "--force", options.force, "replace existing outputs");
  add_entropy_option(app, options.entropy_code);
  add_flag(app, "--dry-run", options.dry_run, "print what would be done; run nothing");
}

void add_entropy_option(CLI::App& app, bool& entropy_code) {
  add_flag(app, "--entropy-code", entropy_code, "rANS codes in .h5 outputs: the smallest file");
}

void check_entropy_option(bool entropy_code, const std::vector<std::string>& out) {
  const auto is_hdf5 = [](const std::string& path) { return std::string_view(format_of(path).name) == "hdf5"; };
  if (entropy_code && std::none_of(out.begin(), out.end(), is_hdf5))
    fail_usage("--entropy-code: no output is HDF5; name one that ends in .h5");
}

void check_model_outputs(const ModelOutputOptions& options) {
  std::set<std::string> seen;
  for (const auto& path : options.out) {
    format_of(path);
    if (!seen.insert(std::filesystem::path(path).lexically_normal().string()).second)
      fail_usage("--out: {} is given twice; name each output once", path);
    check_output(path, options.force);
    // Where a large .onnx keeps its tensors.
    if (!options.force && path.ends_with(".onnx") && std::filesystem::exists(path + ".data"))
      fail_usage("--out: {}.data exists; give --force to replace it", path);
  }
  check_entropy_option(options.entropy_code, options.out);
}

std::vector<std::string> measurable_sizes(const std::vector<std::string>& out) {
  std::vector<std::string> names;
  if (out.size() == 1) names.push_back("result.bytes");
  for (const auto& path : out) names.push_back(std::string("result.bytes") + format_of(path).extension);
  return names;
}

std::vector<std::string> models_with(const std::string& model, const ModelOutputOptions& output) {
  std::vector<std::string> models = output.out;
  models.push_back(model);
  return models;
}

}  // namespace pare
