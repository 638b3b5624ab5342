#include "commands/doctor.hpp"

#include <CLI/App.hpp>

#include "commands/option_kinds.hpp"
#include "commands/sibling.hpp"

namespace pare {

// Null in executables that do not link doctor_run.cpp.
[[gnu::weak]] ExitCode run_doctor(const DoctorOptions& options, RunContext& context);
// Null in executables that do not link gpu_test_run.cpp: `pare` and pare-hdf5.
[[gnu::weak]] ExitCode run_gpu_test(const DoctorOptions& options, RunContext& context);

namespace {

[[noreturn]] void hand_over_gpu_test(const RunContext& context) {
  if (!is_front()) fail_run("doctor: this executable cannot run --gpu-test; run it through `pare`");
  if (const std::string reason = why_no_cuda(); !reason.empty())
    fail_usage("--gpu-test: {}; it needs a build with CUDA on a machine with an NVIDIA GPU", reason);
  std::vector<std::string> arguments = context.report.argv;
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  exec_sibling(Sibling::engine, "cuda", pointers.data());
}

}  // namespace

CommandLine add_doctor(CLI::App& app) {
  auto options = std::make_shared<DoctorOptions>();
  app.option_defaults()->group("Doctor");
  add_flag(app, "--gpu-test", options->gpu_test, "instead: compare every CUDA kernel with its CPU twin");
  add_report_options(app, options->report);

  CommandLine line;
  line.options = options;
  line.report = &options->report;
  line.check = [] {};
  line.models = [] { return std::vector<std::string>{}; };
  line.measurable = [] { return std::vector<std::string>{"cost.duration", "cost.peak_rss"}; };
  if (run_doctor == nullptr) return line;
  line.run = [options](RunContext& context) {
    if (!options->gpu_test) return run_doctor(*options, context);
    if (run_gpu_test == nullptr) hand_over_gpu_test(context);
    return run_gpu_test(*options, context);
  };
  return line;
}

}  // namespace pare
