#include <cmath>
#include <limits>

#include <doctest/doctest.h>

#include "commands/gates.hpp"

namespace pare {

namespace {

Report sample_report() {
  Report report;
  report.metrics = {{"accuracy", 0.92}, {"loss", std::nan("")}, {"bytes", 7}};
  report.result = {{"sparsity", 0.8}, {"bytes", 9999}};
  report.result["files"] = {{{"path", "a/small.onnx"}, {"bytes", 20000}}, {{"path", "small.H5"}, {"bytes", 9000}}};
  report.model = {{"bytes", 50000}, {"path", "in.onnx"}};
  report.cost = {{"duration", 12.5}};
  return report;
}

std::string message_of(const std::string& expr, const std::vector<std::string>& measurable) {
  try {
    check_measurable({parse_gate(expr)}, measurable);
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::usage);
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("gates: every comparison is parsed, with or without spaces") {
  CHECK(parse_gate("accuracy>=0.91").comparison == Comparison::at_least);
  CHECK(parse_gate("accuracy_drop <= 0.01").comparison == Comparison::at_most);
  CHECK(parse_gate("a>1").comparison == Comparison::greater);
  CHECK(parse_gate("a<1").comparison == Comparison::less);
  CHECK(parse_gate("a==1").comparison == Comparison::equal);
  const Gate gate = parse_gate(" bytes.h5 <= 1e4 ");
  CHECK(gate.name == "bytes.h5");
  CHECK(gate.bound == 10000);
  CHECK(gate.expr == " bytes.h5 <= 1e4 ");
  CHECK(parse_gate("snr_db>=-3.5").bound == -3.5);
}

TEST_CASE("gates: what is no gate is refused as wrong usage") {
  for (const char* expr : {"", "accuracy", "accuracy=0.9", "accuracy=>0.9", ">=0.9", "accuracy>=", "accuracy>=0.9x",
                           "accuracy>=91%", "accuracy>=nan", "accuracy>=inf", "accuracy>=0.9>=0.8", "a>==1"}) {
    CAPTURE(expr);
    try {
      parse_gate(expr);
      FAIL("accepted");
    } catch (const Error& error) {
      CHECK(error.code() == ExitCode::usage);
      CHECK(std::string(error.what()).starts_with("--gate "));
    }
  }
}

TEST_CASE("gates: a bare name is looked up in metrics, then in result, then by its path") {
  const Report report = sample_report();
  CHECK(find_number(report, "accuracy") == 0.92);
  CHECK(find_number(report, "sparsity") == 0.8);
  CHECK(find_number(report, "bytes") == 7);
  CHECK(find_number(report, "result.bytes") == 9999);
  CHECK(find_number(report, "model.bytes") == 50000);
  CHECK(find_number(report, "cost.duration") == 12.5);
}

TEST_CASE("gates: the size of a written file is found by its extension") {
  CHECK(find_number(sample_report(), "bytes.onnx") == 20000);
  CHECK(find_number(sample_report(), "result.bytes.h5") == 9000);
  CHECK(find_number(sample_report(), "bytes.npz") == std::nullopt);
}

TEST_CASE("gates: texts, sections and unknown names are not numbers") {
  for (const char* name : {"model.path", "result", "model", "nothing", "accuracy.x", "", "."}) {
    CAPTURE(name);
    CHECK(find_number(sample_report(), name) == std::nullopt);
  }
}

TEST_CASE("gates: a gate is met only by a number that was measured") {
  const auto rows = evaluate_gates(
      {parse_gate("accuracy>=0.92"), parse_gate("accuracy>0.92"), parse_gate("loss<=1"), parse_gate("speedup>=1"),
       parse_gate("sparsity==0.8"), parse_gate("sparsity<0.8"), parse_gate("bytes.h5<=9000")},
      sample_report());
  const std::vector<bool> met = {true, false, false, false, true, false, true};
  REQUIRE(rows.size() == met.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    CAPTURE(rows[i].expr);
    CHECK(rows[i].met == met[i]);
  }
  CHECK(rows[1].value == 0.92);
  CHECK_FALSE(rows[2].value.has_value());
  CHECK_FALSE(rows[3].value.has_value());
}

TEST_CASE("gates: one that cannot be measured is refused with the nearest name") {
  const std::vector<std::string> measurable = {"metrics.accuracy", "result.sparsity", "result.bytes.onnx",
                                               "result.bytes.h5", "cost.duration"};
  for (const char* expr : {"accuracy>=0", "metrics.accuracy>=0", "sparsity>=0", "bytes.h5<=1", "cost.duration<=9"}) {
    CAPTURE(expr);
    CHECK(message_of(expr, measurable) == "");
  }
  CHECK(message_of("acuracy>=0", measurable).ends_with("did you mean 'accuracy'?"));
  CHECK(message_of("bytes<=1", measurable).ends_with("did you mean 'bytes.onnx'?"));
  CHECK(message_of("duration<=9", measurable) == "--gate duration<=9: 'duration' is not measured by this command line");
}

}  // namespace pare
