// The kinds of options there are. Each checks its value as text, so that a bad one is named in the words of the command
// line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/core/json.hpp"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace pare {

// What a number may be. Bounds are inclusive unless `open`.
struct NumberRange {
  double low;
  double high;
  bool open_low = false;
  bool open_high = false;
};

inline constexpr double unbounded = 1e300;
inline constexpr NumberRange at_least_zero = {0, unbounded};
inline constexpr NumberRange at_least_one = {1, unbounded};
inline constexpr NumberRange above_zero = {0, unbounded, true};
inline constexpr NumberRange any_number = {-unbounded, unbounded};

// `name` is as CLI11 takes it ("-o,--out"); `metavar` is what help shows for the value. The variable's present value is
// the default, and help shows it unless it is empty.
CLI::Option* add_text(CLI::App& app, const std::string& name, const char* metavar, std::string& value,
                      const char* help);
// The same option may be given several times, one value each.
CLI::Option* add_texts(CLI::App& app, const std::string& name, const char* metavar, std::vector<std::string>& values,
                       const char* help);
CLI::Option* add_flag(CLI::App& app, const std::string& name, bool& value, const char* help);
// One of `choices`; another value is refused with the nearest.
CLI::Option* add_choice(CLI::App& app, const std::string& name, std::vector<std::string> choices, std::string& value,
                        const char* help);
CLI::Option* add_integer(CLI::App& app, const std::string& name, NumberRange range, int64_t& value, const char* help);
// A decimal number or a fraction "1/255".
CLI::Option* add_real(CLI::App& app, const std::string& name, NumberRange range, double& value, const char* help);
// Numbers separated by commas.
CLI::Option* add_integers(CLI::App& app, const std::string& name, NumberRange range, std::vector<int64_t>& values,
                          const char* help);
CLI::Option* add_reals(CLI::App& app, const std::string& name, NumberRange range, std::vector<double>& values,
                       const char* help);
// A required argument without a name.
CLI::Option* add_argument(CLI::App& app, const std::string& name, std::string& value, const char* help);

// Refuses (exit 2) a path that does not exist or, with `file`, is a folder; `what` is the option it came from.
void check_exists(const std::string& what, const std::string& path, bool file);

// The value that took effect: a number, a list, true or false, a text; null for an option without value.
Json option_value(const CLI::Option& option);

}  // namespace pare
