#include "commands/logging.hpp"

#include <cstdio>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "src/core/error.hpp"
#include "src/core/files.hpp"

namespace pare {
namespace {

namespace fs = std::filesystem;

bool written = true;

}  // namespace

void check_log(const std::string& log, const std::vector<std::string>& models) {
  if (log.empty()) return;
  std::error_code ignored;
  if (!fs::exists(log, ignored)) check_output(log, true);
  for (const std::string& model : models)
    if (fs::weakly_canonical(model, ignored) == fs::weakly_canonical(log, ignored))
      fail_usage("--log: {} is a model of this command; name another file", log);
}

bool log_is_written() { return written; }

void set_up_logging(const ReportOptions& options) {
  const auto terminal = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  terminal->set_pattern("pare: %l: %v");
  terminal->set_level(options.verbose ? spdlog::level::debug : spdlog::level::warn);
  std::vector<spdlog::sink_ptr> sinks = {terminal};
  if (!options.log.empty()) {
    try {
      sinks.push_back(std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.log));
    } catch (const spdlog::spdlog_ex& error) {
      fail_run("--log: {}: cannot be opened ({})", options.log, error.what());
    }
    sinks.back()->set_pattern("%Y-%m-%d %H:%M:%S.%e %l: %v");
  }
  const auto logger = std::make_shared<spdlog::logger>("pare", sinks.begin(), sinks.end());
  logger->set_level(spdlog::level::debug);
  logger->flush_on(spdlog::level::debug);
  logger->set_error_handler([log = options.log](const std::string& reason) {
    if (log.empty()) return;  // stderr alone: its messages are lost
    if (std::exchange(written, false))
      std::fputs(fmt::format("pare: --log: {}: cannot be written ({})\n", log, single_line(reason)).c_str(), stderr);
  });
  spdlog::set_default_logger(logger);
}

}  // namespace pare
