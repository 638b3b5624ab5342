#include "commands/gates.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "formats/model_io.hpp"
#include "src/core/suggest.hpp"

namespace pare {

namespace {

struct ComparisonRow {
  const char* sign;
  Comparison comparison;
};

// Longer signs first: ">=" begins with ">".
constexpr std::array signs = {ComparisonRow{">=", Comparison::at_least}, ComparisonRow{"<=", Comparison::at_most},
                              ComparisonRow{"==", Comparison::equal}, ComparisonRow{">", Comparison::greater},
                              ComparisonRow{"<", Comparison::less}};

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(' ');
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

bool holds(double value, Comparison comparison, double bound) {
  switch (comparison) {
    case Comparison::at_least:
      return value >= bound;
    case Comparison::at_most:
      return value <= bound;
    case Comparison::greater:
      return value > bound;
    case Comparison::less:
      return value < bound;
    case Comparison::equal:
      return value == bound;
  }
  return false;
}

// How the report calls what a gate calls `name`, most specific first.
std::array<std::string, 3> paths_of(const std::string& name) { return {"metrics." + name, "result." + name, name}; }

std::optional<double> number_at(const Json& document, std::string_view path) {
  const Json* place = &document;
  while (!path.empty()) {
    const size_t dot = path.find('.');
    const std::string key(path.substr(0, dot));
    path = dot == std::string_view::npos ? std::string_view{} : path.substr(dot + 1);
    if (!place->is_object() || !place->contains(key)) return std::nullopt;
    place = &(*place)[key];
  }
  return place->is_number() ? std::optional(place->get<double>()) : std::nullopt;
}

std::optional<double> written_size(const Report& report, std::string_view extension) {
  if (!report.result.contains("files")) return std::nullopt;
  for (const auto& file : report.result["files"])
    if (format_of(file.at("path")).extension == extension) return file.at("bytes").get<double>();
  return std::nullopt;
}

}  // namespace

Gate parse_gate(const std::string& expr) {
  const size_t at = expr.find_first_of("<>=");
  if (at == std::string::npos)
    fail_usage("--gate {}: no comparison (expected NAME>=NUMBER, or one of <=, >, <, ==); quote it for the shell",
               expr);
  Gate gate;
  gate.expr = expr;
  gate.name = trimmed(std::string_view(expr).substr(0, at));
  std::string_view rest = std::string_view(expr).substr(at);
  const auto* const row =
      std::find_if(signs.begin(), signs.end(), [&](const auto& sign) { return rest.starts_with(sign.sign); });
  if (row == signs.end()) fail_usage("--gate {}: unknown comparison (expected one of >=, <=, >, <, ==)", expr);
  gate.comparison = row->comparison;
  rest = trimmed(rest.substr(std::string_view(row->sign).size()));
  if (rest.starts_with('+')) rest.remove_prefix(1);
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), gate.bound);
  if (error != std::errc{} || end != rest.data() + rest.size() || !std::isfinite(gate.bound))
    fail_usage("--gate {}: bad number (got '{}', expected one such as 0.91 or 1e4)", expr, rest);
  if (gate.name.empty()) fail_usage("--gate {}: no name before the comparison", expr);
  return gate;
}

void check_measurable(const std::vector<Gate>& gates, const std::vector<std::string>& measurable) {
  const auto known = [&](const std::string& path) {
    return std::find(measurable.begin(), measurable.end(), path) != measurable.end();
  };
  for (const auto& gate : gates) {
    const auto paths = paths_of(gate.name);
    if (std::any_of(paths.begin(), paths.end(), known)) continue;
    std::vector<std::string> names;
    std::vector<std::string> parts;
    for (const auto& path : measurable) {
      names.push_back(path.starts_with("metrics.") || path.starts_with("result.") ? path.substr(path.find('.') + 1)
                                                                                  : path);
      if (names.back().starts_with(gate.name + ".")) parts.push_back(names.back());
    }
    // "bytes" with several outputs: the first of "bytes.onnx", "bytes.h5" is the best advice.
    const std::string advice =
        parts.empty() ? did_you_mean(gate.name, names) : fmt::format("; did you mean '{}'?", parts.front());
    fail_usage("--gate {}: '{}' is not measured by this command line{}", gate.expr, gate.name, advice);
  }
}

void refuse_gates(const std::vector<std::string>& exprs, std::initializer_list<std::string_view> names,
                  const std::string& data, std::string_view reason) {
  for (const std::string& expr : exprs) {
    const Gate gate = parse_gate(expr);
    std::string_view name = gate.name;
    if (name.starts_with("metrics.")) name.remove_prefix(8);
    if (std::find(names.begin(), names.end(), name) != names.end())
      fail_usage("--gate {}: cannot be measured, {} {}", gate.expr, data, reason);
  }
}

std::optional<double> find_number(const Report& report, const std::string& name) {
  const Json document = {
      {"metrics", report.metrics}, {"result", report.result}, {"model", report.model}, {"cost", report.cost}};
  for (const auto& path : paths_of(name)) {
    if (const auto number = number_at(document, path)) return number;
    if (path.starts_with("result.bytes."))
      if (const auto size = written_size(report, path.substr(std::string_view("result.bytes").size()))) return size;
  }
  return std::nullopt;
}

std::vector<GateRow> evaluate_gates(const std::vector<Gate>& gates, const Report& report) {
  std::vector<GateRow> rows;
  for (const auto& gate : gates) {
    auto value = find_number(report, gate.name);
    if (value && !std::isfinite(*value)) value.reset();
    rows.push_back({gate.expr, value, value && holds(*value, gate.comparison, gate.bound)});
  }
  return rows;
}

}  // namespace pare
