#include "src/core/cost.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace pare {

namespace {

// A package that draws more than this could wrap its counter unseen between two readings.
constexpr double most_watts = 1000;
constexpr double joules_per_kwh = 3.6e6;

std::optional<int64_t> read_integer(const std::string& path) {
  std::ifstream file(path);
  int64_t value = 0;
  if (!(file >> value)) return std::nullopt;
  return value;
}

std::string read_word(const std::string& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return word;
}

// getrusage() would count what the process was before exec.
std::optional<int64_t> peak_memory() {
  std::ifstream file("/proc/self/status");
  for (std::string key; file >> key;) {
    int64_t kilobytes = 0;
    if (key == "VmHWM:" && file >> kilobytes) return kilobytes * 1024;
  }
  return std::nullopt;
}

std::optional<double> total_kwh(const std::vector<EnergyCounter>& counters, double longest_gap) {
  if (counters.empty()) return std::nullopt;
  double joules = 0;
  for (const auto& counter : counters) {
    if (!counter.valid() || longest_gap * most_watts > static_cast<double>(counter.range()) * 1e-6) return std::nullopt;
    joules += counter.joules();
  }
  return joules / joules_per_kwh;
}

}  // namespace

EnergyCounter::EnergyCounter(std::string folder, int64_t range)
    : path_(std::move(folder) + "/energy_uj"), range_(range) {
  const auto first = read_integer(path_);
  valid_ = first.has_value() && range > 0;
  last_ = first.value_or(0);
}

void EnergyCounter::sample() {
  if (!valid_) return;
  const auto now = read_integer(path_);
  valid_ = now.has_value();
  if (!valid_) return;
  total_ += *now >= last_ ? *now - last_ : *now - last_ + range_;
  last_ = *now;
}

CostMeter::CostMeter(const std::string& root) : start_(Clock::now()), last_sample_(start_) {
  // Zones are listed flat: intel-rapl:0 is a package, intel-rapl:0:1 a part of it such as its memory. AMD uses the same
  // names.
  std::error_code error;
  std::vector<std::string> folders;
  for (const auto& entry : std::filesystem::directory_iterator(root, error)) folders.push_back(entry.path().string());
  std::sort(folders.begin(), folders.end());
  for (const auto& folder : folders) {
    const auto range = read_integer(folder + "/max_energy_range_uj");
    if (!range) continue;
    const std::string name = read_word(folder + "/name");
    auto* group = name.starts_with("package") ? &packages_ : name == "dram" ? &memories_ : nullptr;
    if (group != nullptr && folder.find("rapl-mmio") == std::string::npos) group->emplace_back(folder, *range);
  }
}

void CostMeter::read_counters(Clock::time_point now) {
  longest_gap_ = std::max(longest_gap_, std::chrono::duration<double>(now - last_sample_).count());
  last_sample_ = now;
  for (auto& counter : packages_) counter.sample();
  for (auto& counter : memories_) counter.sample();
}

void CostMeter::sample() {
  const auto now = Clock::now();
  if (now - last_sample_ >= std::chrono::minutes(1)) read_counters(now);
}

Cost CostMeter::measure() {
  const auto now = Clock::now();
  read_counters(now);
  Cost cost;
  cost.duration = std::chrono::duration<double>(now - start_).count();
  cost.peak_rss = peak_memory();
  cost.cpu_energy = total_kwh(packages_, longest_gap_);
  cost.ram_energy = total_kwh(memories_, longest_gap_);
  return cost;
}

}  // namespace pare
