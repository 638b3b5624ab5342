#include "src/train/run_log.hpp"

#include <filesystem>
#include <fstream>

#include "src/core/error.hpp"
#include "src/core/files.hpp"

namespace pare {

RunLog::RunLog(std::string path, int64_t first_step) : path_(std::move(path)) {
  std::string kept;
  std::ifstream before(path_);
  for (std::string line; first_step > 0 && std::getline(before, line);) {
    // The last line of a killed run may be cut off.
    const Json row = Json::parse(line, nullptr, false);
    if (!row.is_object() || row.value("step", first_step + 1) > first_step) break;
    kept += line + "\n";
  }
  AtomicFile file(path_);
  file.write(kept);
  file.commit();
}

void RunLog::add(const Json& row) {
  std::ofstream file(path_, std::ios::app);
  file << row.dump() << "\n" << std::flush;
  if (!file) fail_run("{}: cannot be written; check the free space of its folder", path_);
}

}  // namespace pare
