#include "commands/options_compute.hpp"

#include <algorithm>

#include <CLI/App.hpp>

#include <fmt/format.h>

#include "commands/option_kinds.hpp"

namespace pare {

namespace {

std::string check_device(const std::string& text) {
  if (text == "auto" || text == "cpu" || text == "cuda") return "";
  if (text.starts_with("cuda:") && text.size() > 5 && text.size() < 9 &&
      std::all_of(text.begin() + 5, text.end(), [](char c) { return c >= '0' && c <= '9'; }))
    return "";
  return fmt::format("bad value (got '{}', expected auto, cpu, cuda or cuda:N)", text);
}

}  // namespace

void add_compute_options(CLI::App& app, ComputeOptions& options) {
  app.option_defaults()->group("Run");
  add_text(app, "--device", "auto|cpu|cuda[:N]", options.device, "where the model runs")->check(check_device, "");
  add_integer(app, "--threads", {0, 4096}, options.threads, "CPU threads; 0: all that the process may use");
  add_integer(app, "--seed", {0, 9e18}, options.seed, "same input and same seed give the same bytes");
  add_flag(app, "--deterministic", options.deterministic, "these bytes with any --threads: one computes");
}

void add_resume_options(CLI::App& app, ResumeOptions& options) {
  app.option_defaults()->group("Run");
  add_text(app, "--run-dir", "DIR", options.run_dir, "for checkpoints and resuming [OUT.run]");
  add_integer(app, "--checkpoint-every", at_least_zero, options.checkpoint_every,
              "steps between checkpoints; 0: after each epoch");
  add_flag(app, "--no-resume", options.no_resume, "start anew even where a checkpoint is found");
}

std::string run_dir_of(const ResumeOptions& options, const std::vector<std::string>& out) {
  return options.run_dir.empty() ? out.front() + ".run" : options.run_dir;
}

}  // namespace pare
