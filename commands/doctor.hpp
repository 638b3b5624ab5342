// pare doctor: what this build and this machine can do.
#pragma once

#include "commands/command.hpp"
#include "commands/options_output.hpp"

namespace pare {

struct DoctorOptions {
  bool gpu_test = false;  // compare the CUDA kernels with their CPU twins instead
  ReportOptions report;
};

CommandLine add_doctor(CLI::App& app);
ExitCode run_doctor(const DoctorOptions& options, RunContext& context);
// --gpu-test, in the engines. Throws (exit 2) without a GPU, (exit 1) when a kernel differs from its twin.
ExitCode run_gpu_test(const DoctorOptions& options, RunContext& context);

}  // namespace pare
