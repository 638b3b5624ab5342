// The one error type: a message in the form `where: what (got X, expected Y); what to do` and the exit code it ends
// with.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace pare {

enum class ExitCode : int {
  ok = 0,
  failure = 1,      // I/O, memory, an internal check
  usage = 2,        // option, value, missing file, existing output, absent device
  bad_input = 3,    // the model or the data is malformed, does not fit or is unsupported
  gate_failed = 4,  // a gate was measured and not met
  goal_missed = 5,  // the best result so far is written
  preempted = 75,   // stopped by a signal, with a checkpoint
};

class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}

  ExitCode code() const { return code_; }

  // The same error seen from further out: `where: message`.
  Error within(std::string_view where) const { return Error(code_, fmt::format("{}: {}", where, what())); }

 private:
  ExitCode code_;
};

template <class... Args>
[[noreturn]] void fail(ExitCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

// Exit 1: an operation of the machine failed, or an internal check did.
template <class... Args>
[[noreturn]] void fail_run(fmt::format_string<Args...> format, Args&&... args) {
  fail(ExitCode::failure, format, std::forward<Args>(args)...);
}

// Exit 2: the command line asks for something that cannot be.
template <class... Args>
[[noreturn]] void fail_usage(fmt::format_string<Args...> format, Args&&... args) {
  fail(ExitCode::usage, format, std::forward<Args>(args)...);
}

// Exit 3: the model or the data cannot be used.
template <class... Args>
[[noreturn]] void fail_input(fmt::format_string<Args...> format, Args&&... args) {
  fail(ExitCode::bad_input, format, std::forward<Args>(args)...);
}

// Runs `body`; an Error that leaves it gains `where` as its outer context.
template <class Body>
decltype(auto) with_context(std::string_view where, Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (const Error& error) {
    throw error.within(where);
  }
}

// The text with spaces for line breaks.
inline std::string single_line(std::string text) {
  for (char& c : text)
    if (c == '\n' || c == '\r') c = ' ';
  return text;
}

}  // namespace pare
