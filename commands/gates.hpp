// Gates: conditions on numbers of the report, `accuracy>=0.91` or `bytes.h5<=10000`, which decide between exit 0 and 4.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "commands/report.hpp"

namespace pare {

enum class Comparison { at_least, at_most, greater, less, equal };

struct Gate {
  std::string expr;  // as given
  std::string name;
  Comparison comparison = Comparison::at_least;
  double bound = 0;
};

// Parses NAME(>=|<=|>|<|==)NUMBER; spaces around the parts are allowed. Throws (exit 2).
Gate parse_gate(const std::string& expr);

// Throws (exit 2), with the nearest name, when a gate's name is not among `measurable`: paths in the report as
// "metrics.accuracy". A gate may leave out `metrics.` and `result.`.
void check_measurable(const std::vector<Gate>& gates, const std::vector<std::string>& measurable);

// Throws (exit 2) when one of the gates `exprs` is about one of `names`, numbers of `metrics` that the data cannot
// give: "cannot be measured, `data` `reason`".
void refuse_gates(const std::vector<std::string>& exprs, std::initializer_list<std::string_view> names,
                  const std::string& data, std::string_view reason);

// The number under `name`: in `metrics`, then in `result`, then by its path from the top of the document. `bytes.EXT`
// is the size of the written file with that extension.
std::optional<double> find_number(const Report& report, const std::string& name);

// One row a gate. A number that is missing or NaN meets no gate.
std::vector<GateRow> evaluate_gates(const std::vector<Gate>& gates, const Report& report);

}  // namespace pare
