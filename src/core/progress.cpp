#include "src/core/progress.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <unistd.h>

#include "src/core/table.hpp"

namespace pare {

namespace {

constexpr auto bar_interval = std::chrono::milliseconds(100);
constexpr auto line_interval = std::chrono::seconds(10);
constexpr int bar_width = 24;

}  // namespace

ProgressStyle progress_style(bool quiet, std::FILE* stream) {
  if (quiet) return ProgressStyle::none;
  return ::isatty(::fileno(stream)) ? ProgressStyle::bar : ProgressStyle::lines;
}

Progress::Progress(std::string label, int64_t total, ProgressStyle style, std::FILE* stream)
    : label_(std::move(label)), total_(total), style_(style), stream_(stream), start_(Clock::now()), shown_(start_) {}

Progress::~Progress() {
  if (bar_open_) std::fputc('\n', stream_);
}

std::string Progress::line(int64_t done, std::string_view note, Clock::time_point now) const {
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  std::string text = fmt::format("{} {}/{}", label_, done, total_);
  if (style_ == ProgressStyle::bar && total_ > 0) {
    const auto filled = static_cast<size_t>(std::clamp<int64_t>(done * bar_width / total_, 0, bar_width));
    text = fmt::format("{} [{}{}] {}/{}", label_, std::string(filled, '#'), std::string(bar_width - filled, ' '), done,
                       total_);
  }
  if (done > 0 && done < total_) {
    const double remaining = elapsed * static_cast<double>(total_ - done) / static_cast<double>(done);
    text += fmt::format(", {} left", duration_text(remaining));
  }
  if (!note.empty()) text += fmt::format(", {}", note);
  return text;
}

void Progress::update(int64_t done, std::string_view note, Clock::time_point now) {
  if (style_ == ProgressStyle::none) return;
  const bool bar = style_ == ProgressStyle::bar;
  const bool last = done >= total_;
  if (bar ? (!last && bar_open_ && now - shown_ < bar_interval) : now - shown_ < line_interval) return;
  shown_ = now;
  const std::string text = line(done, note, now);
  // "\033[K" clears what a longer line left behind.
  // Where nothing can be written the work goes on: fmt::print would throw.
  std::fputs(fmt::format(fmt::runtime(bar ? "\r{}\033[K" : "{}\n"), text).c_str(), stream_);
  std::fflush(stream_);
  bar_open_ = bar;
}

}  // namespace pare
