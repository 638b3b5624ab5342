// Where a command runs, and how it survives being stopped.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace pare {

// --device --threads --seed --deterministic
struct ComputeOptions {
  std::string device = "auto";  // auto | cpu | cuda | cuda:N
  int64_t threads = 0;          // 0: the cores this process may use
  int64_t seed = 0;             // >= 0
  bool deterministic = false;   // the same bytes with any number of threads too
};

// --run-dir --checkpoint-every --no-resume
struct ResumeOptions {
  std::string run_dir;           // empty: default_run_dir()
  int64_t checkpoint_every = 0;  // steps; 0: at the end of each epoch
  bool no_resume = false;        // start anew even if the folder holds a checkpoint
};

void add_compute_options(CLI::App& app, ComputeOptions& options);
void add_resume_options(CLI::App& app, ResumeOptions& options);

// `--run-dir`, else `<first output>.run`.
std::string run_dir_of(const ResumeOptions& options, const std::vector<std::string>& out);

}  // namespace pare
