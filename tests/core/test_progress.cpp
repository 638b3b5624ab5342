#include <algorithm>
#include <cstdio>
#include <memory>

#include <doctest/doctest.h>

#include "src/core/progress.hpp"

namespace pare {

namespace {

using Clock = Progress::Clock;

// What a body writes to the stream that it is given.
template <class Body>
std::string written_by(const Body& body) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::tmpfile(), std::fclose);
  body(file.get());
  std::fflush(file.get());
  std::rewind(file.get());
  std::string text;
  for (int c = std::fgetc(file.get()); c != EOF; c = std::fgetc(file.get())) text += static_cast<char>(c);
  return text;
}

}  // namespace

TEST_CASE("progress: without a terminal there is a line every ten seconds") {
  const std::string text = written_by([](std::FILE* stream) {
    Progress progress("prune", 100, ProgressStyle::lines, stream);
    const auto start = Clock::now();
    for (int second = 1; second <= 25; ++second)
      progress.update(second * 2, "loss 0.5", start + std::chrono::seconds(second));
  });
  CHECK(std::count(text.begin(), text.end(), '\n') == 2);
  CHECK(text.find("prune 2") == 0);
  CHECK(text.find("loss 0.5\n") != std::string::npos);
  CHECK(text.find('\r') == std::string::npos);
}

TEST_CASE("progress: the remaining time extrapolates the steps so far") {
  const std::string text = written_by([](std::FILE* stream) {
    Progress progress("train", 40, ProgressStyle::lines, stream);
    progress.update(10, "", Clock::now() + std::chrono::seconds(20));
  });
  CHECK(text == "train 10/40, 1 min 00 s left\n");
}

TEST_CASE("progress: a bar redraws one line, at most ten times a second, and ends it") {
  const std::string text = written_by([](std::FILE* stream) {
    Progress progress("train", 1000, ProgressStyle::bar, stream);
    const auto start = Clock::now();
    for (int step = 1; step <= 1000; ++step) progress.update(step, "", start + std::chrono::milliseconds(step));
  });
  CHECK(std::count(text.begin(), text.end(), '\r') <= 11);
  CHECK(std::count(text.begin(), text.end(), '\n') == 1);
  CHECK(text.find("[########################] 1000/1000") != std::string::npos);
  CHECK(text.ends_with("\n"));
}

TEST_CASE("progress: quiet shows nothing, and a file is not a terminal") {
  const std::string text = written_by([](std::FILE* stream) {
    CHECK(progress_style(true, stream) == ProgressStyle::none);
    CHECK(progress_style(false, stream) == ProgressStyle::lines);
    Progress progress("x", 2, ProgressStyle::none, stream);
    progress.update(2, "", Clock::now() + std::chrono::hours(1));
  });
  CHECK(text.empty());
}

}  // namespace pare
