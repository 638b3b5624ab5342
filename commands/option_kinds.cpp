#include "commands/option_kinds.hpp"

#include <charconv>
#include <cmath>
#include <filesystem>
#include <optional>
#include <type_traits>

#include <CLI/App.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "src/core/error.hpp"
#include "src/core/suggest.hpp"

namespace pare {

namespace {

template <class Number>
std::optional<Number> whole_text_as(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> real_of(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return whole_text_as<double>(text);
  const auto above = whole_text_as<double>(text.substr(0, slash));
  const auto below = whole_text_as<double>(text.substr(slash + 1));
  if (!above || !below || *below == 0) return std::nullopt;
  return *above / *below;
}

std::string range_text(NumberRange range) {
  const bool low = range.low > -unbounded;
  const bool high = range.high < unbounded;
  if (low && high)
    return fmt::format(" {} {} and {} {}", range.open_low ? "above" : "of at least", range.low,
                       range.open_high ? "below" : "at most", range.high);
  if (low) return fmt::format(" {} {}", range.open_low ? "above" : "of at least", range.low);
  return "";
}

bool inside(double value, NumberRange range) {
  return std::isfinite(value) && (range.open_low ? value > range.low : value >= range.low) &&
         (range.open_high ? value < range.high : value <= range.high);
}

// Reads one number, or says what is wrong with it.
template <class Number>
std::string read_number(const std::string& text, NumberRange range, Number& value) {
  constexpr bool real = std::is_floating_point_v<Number>;
  std::optional<Number> read;
  if constexpr (real) read = real_of(text);
  else read = whole_text_as<Number>(text);
  if (read && inside(static_cast<double>(*read), range)) {
    value = *read;
    return "";
  }
  return fmt::format("bad value (got '{}', expected {}{})", text, real ? "a number" : "an integer", range_text(range));
}

template <class Number>
std::string default_text(Number value) {
  // The exact fraction reads better than 0.00392...
  if constexpr (std::is_floating_point_v<Number>)
    if (value == 1.0 / 255.0) return "1/255";
  return fmt::format("{}", value);
}

template <class Number>
CLI::Option* add_number(CLI::App& app, const std::string& name, NumberRange range, Number& value, const char* help) {
  const CLI::callback_t read = [&value](const CLI::results_t& results) {
    return read_number(results.back(), any_number, value).empty();
  };
  const auto check = [range](const std::string& text) {
    Number ignored{};
    return read_number(text, range, ignored);
  };
  return app.add_option(name, read, help)
      ->check(check, "")
      ->type_name(std::is_floating_point_v<Number> ? "X" : "N")
      ->default_str(default_text(value));
}

template <class Number>
CLI::Option* add_numbers(CLI::App& app, const std::string& name, NumberRange range, std::vector<Number>& values,
                         const char* help) {
  const CLI::callback_t read = [&values](const CLI::results_t& results) {
    values.clear();
    for (const auto& part : CLI::detail::split(results.back(), ',')) {
      Number value{};
      if (!read_number(part, any_number, value).empty()) return false;
      values.push_back(value);
    }
    return true;
  };
  const auto check = [range](const std::string& text) -> std::string {
    for (const auto& part : CLI::detail::split(text, ',')) {
      Number ignored{};
      if (auto wrong = read_number(part, range, ignored); !wrong.empty()) return wrong;
    }
    return "";
  };
  return app.add_option(name, read, help)
      ->check(check, "")
      ->type_name(std::is_floating_point_v<Number> ? "X,..." : "N,...")
      ->default_str(fmt::format("{}", fmt::join(values, ",")));
}

std::string not_empty(const std::string& text) { return text.empty() ? "empty value (got '', expected a value)" : ""; }

}  // namespace

CLI::Option* add_text(CLI::App& app, const std::string& name, const char* metavar, std::string& value,
                      const char* help) {
  return app.add_option(name, value, help)->check(not_empty, "")->type_name(metavar)->default_str(value);
}

CLI::Option* add_texts(CLI::App& app, const std::string& name, const char* metavar, std::vector<std::string>& values,
                       const char* help) {
  return app.add_option(name, values, help)->check(not_empty, "")->type_name(metavar)->allow_extra_args(false);
}

CLI::Option* add_flag(CLI::App& app, const std::string& name, bool& value, const char* help) {
  return app.add_flag(name, value, help);
}

CLI::Option* add_choice(CLI::App& app, const std::string& name, std::vector<std::string> choices, std::string& value,
                        const char* help) {
  const std::string shown = fmt::format("{}", fmt::join(choices, "|"));
  const auto check = [choices = std::move(choices)](const std::string& text) -> std::string {
    for (const auto& choice : choices)
      if (choice == text) return "";
    return fmt::format("unknown value (got '{}', expected one of {}){}", text, fmt::join(choices, ", "),
                       did_you_mean(text, choices));
  };
  return app.add_option(name, value, help)->check(check, "")->type_name(shown)->default_str(value);
}

CLI::Option* add_integer(CLI::App& app, const std::string& name, NumberRange range, int64_t& value, const char* help) {
  return add_number(app, name, range, value, help);
}

CLI::Option* add_real(CLI::App& app, const std::string& name, NumberRange range, double& value, const char* help) {
  return add_number(app, name, range, value, help);
}

CLI::Option* add_integers(CLI::App& app, const std::string& name, NumberRange range, std::vector<int64_t>& values,
                          const char* help) {
  return add_numbers(app, name, range, values, help);
}

CLI::Option* add_reals(CLI::App& app, const std::string& name, NumberRange range, std::vector<double>& values,
                       const char* help) {
  return add_numbers(app, name, range, values, help);
}

CLI::Option* add_argument(CLI::App& app, const std::string& name, std::string& value, const char* help) {
  return app.add_option(name, value, help)->check(not_empty, "")->type_name("")->required();
}

void check_exists(const std::string& what, const std::string& path, bool file) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) fail_usage("{}: {}: no such file", what, path);
  if (file && std::filesystem::is_directory(status)) fail_usage("{}: {}: is a folder, expected a file", what, path);
}

Json option_value(const CLI::Option& option) {
  const std::string kind = option.get_type_name();
  if (option.get_expected_max() == 0) return option.count() > 0;
  if (option.get_expected_max() > 1) return option.results();
  const std::string text = option.count() > 0 ? option.results().back() : option.get_default_str();
  if (text.empty()) return nullptr;
  if (kind == "N") return *whole_text_as<int64_t>(text);
  if (kind == "X") {
    const auto number = real_of(text);  // a default may be words
    return number ? Json(*number) : Json(text);
  }
  if (!kind.ends_with(",...")) return text;
  Json list = Json::array();
  for (const auto& part : CLI::detail::split(text, ',')) {
    if (kind == "N,...") list.push_back(*whole_text_as<int64_t>(part));
    else list.push_back(*real_of(part));
  }
  return list;
}

}  // namespace pare
