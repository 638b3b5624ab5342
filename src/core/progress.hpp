// Progress of long work on stderr: a bar on a terminal, else a line every ten seconds.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace pare {

enum class ProgressStyle { none, lines, bar };

// A bar when `stream` is a terminal, lines otherwise, none with `quiet`.
ProgressStyle progress_style(bool quiet, std::FILE* stream);

class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  // `total` steps of `label`. Nothing is shown before the first update.
  Progress(std::string label, int64_t total, ProgressStyle style, std::FILE* stream = stderr);
  // Ends the line of a bar.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `done` steps are finished; `note` is shown behind them ("loss 0.31"). Cheap: most calls show nothing.
  void update(int64_t done, std::string_view note, Clock::time_point now = Clock::now());

 private:
  std::string line(int64_t done, std::string_view note, Clock::time_point now) const;

  std::string label_;
  int64_t total_;
  ProgressStyle style_;
  std::FILE* stream_;
  Clock::time_point start_;
  Clock::time_point shown_;
  bool bar_open_ = false;
};

}  // namespace pare
