#include "commands/report.hpp"

#include <cmath>
#include <cstdio>
#include <filesystem>

#include "commands/report_html.hpp"
#include "src/core/files.hpp"

namespace pare {

namespace {

// JSON knows neither NaN nor infinities. Visits every number; `path` names it in the warning.
void replace_non_finite(Json& value, const std::string& path, std::vector<std::string>& warnings) {
  if (value.is_number_float() && !std::isfinite(value.get<double>())) {
    warnings.push_back(fmt::format("{} is {}; the report holds null", path, value.get<double>()));
    value = nullptr;
  } else if (value.is_object()) {
    for (const auto& [key, part] : value.items())
      replace_non_finite(part, path.empty() ? key : path + "." + key, warnings);
  } else if (value.is_array()) {
    for (size_t i = 0; i < value.size(); ++i) replace_non_finite(value[i], fmt::format("{}.{}", path, i), warnings);
  }
}

bool is_page(const std::string& target) { return std::filesystem::path(target).extension() == ".html"; }

Json gates_json(const std::vector<GateRow>& gates) {
  Json rows = Json::array();
  for (const auto& gate : gates)
    rows.push_back({{"expr", gate.expr}, {"value", gate.value ? Json(*gate.value) : Json(nullptr)}, {"met", gate.met}});
  return rows;
}

}  // namespace

const char* verdict_of(ExitCode code) {
  switch (code) {
    case ExitCode::ok:
      return "ok";
    case ExitCode::gate_failed:
      return "gate-failed";
    case ExitCode::goal_missed:
      return "goal-missed";
    case ExitCode::preempted:
      return "preempted";
    default:
      return "error";
  }
}

Json Report::document() const {
  Json document = {{"pare", PARE_VERSION},
                   {"command", command},
                   {"argv", argv},
                   {"verdict", verdict_of(exit_code)},
                   {"exit_code", static_cast<int>(exit_code)},
                   {"error", error.empty() ? Json(nullptr) : Json(error)}};
  const auto add = [&](const char* key, const Json& section) {
    if (!section.empty()) document[key] = section;
  };
  add("model", model);
  add("result", result);
  add("metrics", metrics);
  add("layers", layers);
  document["gates"] = gates_json(gates);
  document["warnings"] = Json::array();
  add("settings", settings);
  add("device", device);
  add("history", history);
  add("plan", plan);
  add("checks", checks);
  add("cost", cost);
  auto all_warnings = warnings;
  replace_non_finite(document, "", all_warnings);
  document["warnings"] = all_warnings;
  return document;
}

void write_report(const Report& report, const std::vector<std::string>& targets) {
  if (targets.empty()) return;
  // Names of tensors and files come from outside and need not be UTF-8.
  const Json document = report.document();
  const std::string text = document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  for (const auto& target : targets) {
    if (target == "-") {
      std::fwrite(text.data(), 1, text.size(), stdout);
      continue;
    }
    AtomicFile file(target);
    file.write(is_page(target) ? report_page(document) : text);
    file.commit();
  }
}

void check_report_targets(const std::vector<std::string>& targets) {
  for (const auto& target : targets) {
    if (target == "-") continue;
    if (!is_page(target) && std::filesystem::path(target).extension() != ".json")
      fail_usage("--report: unknown kind of report (got '{}', expected a name ending in .json or .html, or -)", target);
    check_output(target, true);
  }
}

}  // namespace pare
