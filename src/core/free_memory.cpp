#include "src/core/free_memory.hpp"

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>

namespace pare {
namespace {

// MemAvailable, in bytes.
std::optional<int64_t> available() {
  std::ifstream file("/proc/meminfo");
  std::string key, unit;
  int64_t kilobytes = 0;
  while (file >> key >> kilobytes) {
    if (key == "MemAvailable:") return kilobytes * 1024;
    std::getline(file, unit);
  }
  return std::nullopt;
}

// Nothing where there is no limit ("max") or no such file.
std::optional<int64_t> number_in(const char* path) {
  std::ifstream file(path);
  int64_t number = 0;
  if (!(file >> number)) return std::nullopt;
  return number;
}

}  // namespace

int64_t free_memory() {
  int64_t free = available().value_or(0);
  const auto limit = number_in("/sys/fs/cgroup/memory.max");
  const auto used = number_in("/sys/fs/cgroup/memory.current");
  if (limit && used) free = std::min(free, std::max<int64_t>(0, *limit - *used));
  return free;
}

}  // namespace pare
