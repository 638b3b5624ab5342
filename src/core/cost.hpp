// What a run costs: wall time, memory, and energy where the machine measures it. Nothing is estimated.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pare {

struct Cost {
  double duration = 0;               // seconds of wall time
  std::optional<int64_t> peak_rss;   // bytes
  std::optional<double> cpu_energy;  // kWh of the processor packages
  std::optional<double> ram_energy;  // kWh of the memory
};

// One RAPL counter of /sys/class/powercap: microjoules that wrap at `range`.
class EnergyCounter {
 public:
  EnergyCounter(std::string folder, int64_t range);

  // Adds what the counter advanced since the last call. A counter that became unreadable stays invalid.
  void sample();
  bool valid() const { return valid_; }
  double joules() const { return static_cast<double>(total_) * 1e-6; }
  int64_t range() const { return range_; }

 private:
  std::string path_;
  int64_t range_;
  int64_t last_ = 0;
  int64_t total_ = 0;
  bool valid_ = false;
};

// Measures from its construction. `root` is a folder laid out like /sys/class/powercap.
class CostMeter {
 public:
  explicit CostMeter(const std::string& root = "/sys/class/powercap");

  // Reads the energy counters if the last reading is older than a minute; long runs call it now and then (each step
  // will do). Where readings lie so far apart that a counter may have wrapped unseen, its energy is left out of the
  // cost.
  void sample();
  Cost measure();

 private:
  using Clock = std::chrono::steady_clock;
  void read_counters(Clock::time_point now);

  Clock::time_point start_;
  Clock::time_point last_sample_;
  double longest_gap_ = 0;
  std::vector<EnergyCounter> packages_;
  std::vector<EnergyCounter> memories_;
};

}  // namespace pare
