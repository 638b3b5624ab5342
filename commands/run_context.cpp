#include "commands/run_context.hpp"

#include <algorithm>

#include <spdlog/spdlog.h>

namespace pare {

void RunContext::print(std::string_view text) const {
  if (!quiet) std::fwrite(text.data(), 1, text.size(), table_stream);
}

void RunContext::warn(std::string message) {
  if (std::find(report.warnings.begin(), report.warnings.end(), message) != report.warnings.end()) return;
  spdlog::warn(message);
  report.warnings.push_back(std::move(message));
}

}  // namespace pare
