#include <cmath>
#include <limits>

#include <doctest/doctest.h>

#include "commands/report.hpp"
#include "src/core/files.hpp"
#include "tests/support/temporary_folder.hpp"

namespace pare {

namespace {

std::vector<std::string> keys_of(const Json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

}  // namespace

TEST_CASE("report: the sections come in the order of the contract, empty ones are left out") {
  Report report;
  report.cost["duration"] = 1;
  report.metrics["accuracy"] = 0.9;
  report.model["path"] = "m.onnx";
  CHECK(keys_of(report.document()) == std::vector<std::string>{"pare", "command", "argv", "verdict", "exit_code",
                                                               "error", "model", "metrics", "gates", "warnings",
                                                               "cost"});
  report.result["bytes"] = 1;
  report.layers.push_back({{"name", "fc"}});
  report.settings["seed"] = 0;
  report.device["type"] = "cpu";
  report.history.push_back({{"step", 1}});
  CHECK(keys_of(report.document()) == std::vector<std::string>{"pare", "command", "argv", "verdict", "exit_code",
                                                               "error", "model", "result", "metrics", "layers", "gates",
                                                               "warnings", "settings", "device", "history", "cost"});
}

TEST_CASE("report: the verdict follows the exit code") {
  Report report;
  const auto verdict = [&](ExitCode code) {
    report.exit_code = code;
    const Json document = report.document();
    CHECK(document["exit_code"] == static_cast<int>(code));
    return document["verdict"].get<std::string>();
  };
  CHECK(verdict(ExitCode::ok) == "ok");
  CHECK(verdict(ExitCode::failure) == "error");
  CHECK(verdict(ExitCode::usage) == "error");
  CHECK(verdict(ExitCode::bad_input) == "error");
  CHECK(verdict(ExitCode::gate_failed) == "gate-failed");
  CHECK(verdict(ExitCode::goal_missed) == "goal-missed");
  CHECK(verdict(ExitCode::preempted) == "preempted");
}

TEST_CASE("report: NaN and infinities become null with a warning that names them") {
  Report report;
  report.warnings = {"first"};
  report.metrics = {{"loss", std::nan("")}, {"accuracy", 0.5}};
  report.history = {{{"loss", 1.0}}, {{"loss", std::numeric_limits<double>::infinity()}}};
  const Json document = report.document();
  CHECK(document["metrics"]["loss"].is_null());
  CHECK(document["metrics"]["accuracy"] == 0.5);
  CHECK(document["history"][1]["loss"].is_null());
  REQUIRE(document["warnings"].size() == 3);
  CHECK(document["warnings"][0] == "first");
  CHECK(document["warnings"][1].get<std::string>().starts_with("metrics.loss is nan"));
  CHECK(document["warnings"][2].get<std::string>().starts_with("history.1.loss is inf"));
}

TEST_CASE("report: a gate without a value shows null") {
  Report report;
  report.gates = {{"accuracy>=0.9", 0.95, true}, {"speedup>=2", std::nullopt, false}};
  const Json gates = report.document()["gates"];
  CHECK(gates[0] == Json({{"expr", "accuracy>=0.9"}, {"value", 0.95}, {"met", true}}));
  CHECK(gates[1] == Json({{"expr", "speedup>=2"}, {"value", nullptr}, {"met", false}}));
}

TEST_CASE("report: it is written to every target, and names that are not UTF-8 do no harm") {
  const test::TemporaryFolder folder;
  Report report;
  report.command = "prune";
  report.model["path"] = "bad\xFFname.onnx";
  write_report(report, {folder.file("a.json"), folder.file("b.json")});
  const Json a = Json::parse(read_file(folder.file("a.json")));
  CHECK(a["command"] == "prune");
  CHECK(read_file(folder.file("a.json")) == read_file(folder.file("b.json")));
  CHECK(folder.entries() == 2);
}

TEST_CASE("report: targets of another kind or in a missing folder are refused") {
  const test::TemporaryFolder folder;
  CHECK_NOTHROW(check_report_targets({"-", folder.file("r.json")}));
  CHECK_THROWS_WITH_AS(check_report_targets({"r.txt"}),
                       "--report: unknown kind of report (got 'r.txt', expected a name ending in .json or .html, or -)",
                       Error);
  CHECK_THROWS_AS(check_report_targets({folder.file("missing/r.json")}), Error);
}

}  // namespace pare
