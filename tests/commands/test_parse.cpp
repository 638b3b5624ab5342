#include <set>

#include <doctest/doctest.h>

#include "commands/evaluate.hpp"
#include "commands/parse.hpp"
#include "commands/prune.hpp"

namespace pare {

namespace {

using Arguments = std::vector<std::string>;

ParsedCommand parsed(const std::string& command, const Arguments& arguments) {
  return parse_command(find_command(command), arguments);
}

Arguments prune_with(const Arguments& more) {
  Arguments arguments = {"m.onnx", "--sparsity", "0.8", "--data", "images", "-o", "small.onnx"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

const PruneOptions& prune_options(const ParsedCommand& command) {
  return *static_cast<const PruneOptions*>(command.line.options.get());
}

std::string error_of(const std::string& command, const Arguments& arguments) {
  try {
    parsed(command, arguments);
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::usage);
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("parse: options land in their struct") {
  const auto command =
      parsed("prune", prune_with({"-o", "small.h5", "--lr=3e-3", "--mean", "-0.5,0.25", "--scale", "1/255", "--seed",
                                  "7", "--importance", "fisher", "--augment", "flip,shift:2", "--report", "-", "-qv"}));
  const auto& options = prune_options(command);
  CHECK(options.model == "m.onnx");
  CHECK(options.sparsity == 0.8);
  CHECK(options.output.out == Arguments{"small.onnx", "small.h5"});
  CHECK(options.training.lr == 3e-3);
  CHECK(options.data.mean == std::vector{-0.5, 0.25});
  CHECK(options.data.scale == 1.0 / 255.0);
  CHECK(options.compute.seed == 7);
  CHECK(options.importance == "fisher");
  CHECK(options.training.augment == "flip,shift:2");
  CHECK(options.report.reports == Arguments{"-"});
  CHECK(options.report.quiet);
  CHECK(options.report.verbose);
}

TEST_CASE("parse: options that are not given keep their defaults") {
  const auto command = parsed("prune", prune_with({}));
  const auto& options = prune_options(command);
  CHECK(options.training.batch == 128);
  CHECK(options.training.optimizer == "adamw");
  CHECK(options.data.split == "train");
  CHECK(options.data.mean.empty());
  CHECK(options.teacher.teachers == std::vector<std::string>{"original"});
  CHECK(options.schedule == "auto");
  CHECK_FALSE(options.output.force);
}

TEST_CASE("parse: settings hold every option with its effective value and type") {
  const Json settings = parsed("prune", prune_with({"--mean", "0.5", "--force"})).settings;
  CHECK(settings["model"] == "m.onnx");
  CHECK(settings["sparsity"] == 0.8);
  CHECK(settings["batch"] == 128);
  CHECK(settings["lr"] == 1e-3);
  CHECK(settings["scale"] == "1/255 for uint8");
  CHECK(parsed("prune", prune_with({"--scale", "1/255"})).settings["scale"] == 1.0 / 255.0);
  CHECK(settings["mean"] == Json::array({0.5}));
  CHECK(settings["std"] == Json::array({1.0}));
  CHECK(settings["force"] == true);
  CHECK(settings["dry-run"] == false);
  CHECK(settings["out"] == Json::array({"small.onnx"}));
  CHECK(settings["include"] == Json::array());
  CHECK(settings["optimizer"] == "adamw");
  CHECK_FALSE(settings.contains("augment"));
  CHECK_FALSE(settings.contains("help"));
}

TEST_CASE("parse: lists of integers") {
  const auto command = parsed("evaluate", {"m.onnx", "--latency", "--batch-sizes", "1,8,64"});
  CHECK(static_cast<const EvaluateOptions*>(command.line.options.get())->batch_sizes == std::vector<int64_t>{1, 8, 64});
  CHECK(command.settings["batch-sizes"] == Json::array({1, 8, 64}));
}

TEST_CASE("parse: unknown commands and options are named with the nearest") {
  CHECK_THROWS_WITH_AS(find_command("purne"), "unknown command 'purne'; did you mean 'prune'?", Error);
  CHECK_THROWS_WITH_AS(find_command("fly"), "unknown command 'fly'; see pare --help", Error);
  CHECK(error_of("prune", prune_with({"--epoch", "3"})) == "unknown option '--epoch'; did you mean '--epochs'?");
  CHECK(error_of("prune", prune_with({"--epoch=3"})) == "unknown option '--epoch'; did you mean '--epochs'?");
  CHECK(error_of("prune", prune_with({"-z"})) == "unknown option '-z'; see pare prune --help");
  CHECK(error_of("inspect", {"--sparsity", "0.8", "m.onnx"}) == "unknown option '--sparsity'; see pare inspect --help");
}

TEST_CASE("parse: bad values name the option, what was given and what is expected") {
  const std::vector<std::pair<Arguments, std::string>> cases = {
      {{"--lr", "fast"}, "--lr: bad value (got 'fast', expected a number above 0)"},
      {{"--lr", "0"}, "--lr: bad value (got '0', expected a number above 0)"},
      {{"--lr", "nan"}, "--lr: bad value (got 'nan', expected a number above 0)"},
      {{"--lr", "1/0"}, "--lr: bad value (got '1/0', expected a number above 0)"},
      {{"--epochs", "-1"}, "--epochs: bad value (got '-1', expected an integer of at least 0)"},
      {{"--epochs", "1.5"}, "--epochs: bad value (got '1.5', expected an integer of at least 0)"},
      {{"--seed", "99999999999999999999"},
       "--seed: bad value (got '99999999999999999999', expected an integer of at least 0 and at most 9e+18)"},
      {{"--average", "1.1"}, "--average: bad value (got '1.1', expected a number of at least 0 and at most 1)"},
      {{"--structure", "4:2"}, "--structure: bad value (got '4:2', expected N:M with 1 <= N < M <= 32)"},
      {{"--structure", "row"},
       "--structure: bad value (got 'row', expected weight, N:M, block:RxC, channel, head or residual)"},
      {{"--schedule", "cubik"},
       "--schedule: bad value (got 'cubik', expected one-shot, iterative:N, cubic, linear or exponential); did you "
       "mean "
       "'cubic'?"},
      {{"--regrow", "1"}, "--regrow: bad value (got '1', expected a number of at least 0 and below 1)"},
      {{"--regrow-by", "magic"}, "--regrow-by: unknown value (got 'magic', expected one of gradient, splice)"},
      {{"--score-samples", "0"}, "--score-samples: bad value (got '0', expected an integer of at least 1)"},
      {{"--mean", "0.5,x"}, "--mean: bad value (got 'x', expected a number)"},
      {{"--mean", "0.5,,1"}, "--mean: bad value (got '', expected a number)"},
      {{"--std", "0"}, "--std: bad value (got '0', expected a number above 0)"},
      {{"--optimizer", "adam"},
       "--optimizer: unknown value (got 'adam', expected one of sgd, adamw); did you mean 'adamw'?"},
      {{"--device", "gpu"}, "--device: bad value (got 'gpu', expected auto, cpu, cuda or cuda:N)"},
      {{"--device", "cuda:"}, "--device: bad value (got 'cuda:', expected auto, cpu, cuda or cuda:N)"},
      {{"--augment", "flop"},
       "--augment: unknown augmentation (got 'flop', expected some of: flip, shift:N, crop:N, erase, jitter, mixup:A); "
       "did you "
       "mean 'flip'?"},
      {{"--augment", "shift"}, "--augment: bad value (got 'shift', expected shift:N with N pixels of at least 1)"},
      {{"--augment", "crop:0"}, "--augment: bad value (got 'crop:0', expected crop:N with N pixels of at least 1)"},
      {{"--augment", "erase:1"}, "--augment: erase takes no number (got 'erase:1')"},
      {{"--augment", "flip,flip"}, "--augment: flip is given twice (got 'flip,flip')"},
      {{"--val", ""}, "--val: empty value (got '', expected a value)"},
      {{"--lr"}, "--lr needs a value; see pare prune --help"},
      {{"--lr", "1", "--lr", "2"}, "--lr is given more than once; give one value"},
      {{"another.onnx"}, "unexpected argument 'another.onnx'; see pare prune --help"},
  };
  for (const auto& [arguments, message] : cases) {
    CAPTURE(message);
    CHECK(error_of("prune", prune_with(arguments)) == message);
  }
}

TEST_CASE("parse: the sparsity lies between 0 and 1") {
  for (const char* value : {"0", "1", "-0.5", "1.5", "80%", "nan"}) {
    CAPTURE(value);
    CHECK(error_of("prune", {"m.onnx", "--data", "d", "-o", "x.onnx", "--sparsity", value}) ==
          fmt::format("--sparsity: bad value (got '{}', expected a number above 0 and below 1)", value));
  }
  CHECK(error_of("prune", {}) == "MODEL is required; see pare prune --help");
}

TEST_CASE("parse: help wins over everything else on the line") {
  for (const auto& arguments : {Arguments{"--help"}, Arguments{"-h"}, Arguments{"m.onnx", "--lr", "fast", "--help"}}) {
    const auto command = parsed("prune", arguments);
    CHECK(command.help);
    CHECK(command.help_text.starts_with("pare prune: "));
  }
}

TEST_CASE("parse: report targets are known even on a wrong command line") {
  CHECK(report_targets_of({"pare", "prune", "--report", "a.json", "--oops", "--report=-", "--report"}) ==
        Arguments{"a.json", "-"});
  CHECK(report_targets_of({"pare", "prune", "--", "--report", "a.json"}).empty());
}

TEST_CASE("parse: what a gate can ask for follows from the command line") {
  const auto names = [](const std::string& command, const Arguments& arguments) {
    auto list = parsed(command, arguments).line.measurable();
    return std::set<std::string>(list.begin(), list.end());
  };
  CHECK(names("prune", prune_with({})).contains("result.bytes"));
  CHECK(names("prune", prune_with({})).contains("result.bytes.onnx"));
  CHECK_FALSE(names("prune", prune_with({"-o", "small.h5"})).contains("result.bytes"));
  CHECK(names("prune", prune_with({"-o", "small.h5"})).contains("result.bytes.h5"));
  CHECK_FALSE(names("evaluate", {"m.onnx"}).contains("metrics.accuracy"));
  CHECK(names("evaluate", {"m.onnx", "--data", "d"}).contains("metrics.accuracy"));
  CHECK_FALSE(names("evaluate", {"m.onnx", "--data", "d"}).contains("metrics.accuracy_drop"));
  CHECK(names("evaluate", {"m.onnx", "--data", "d", "--against", "b.onnx"}).contains("metrics.accuracy_drop"));
  CHECK(names("evaluate", {"m.onnx", "--latency", "--against", "b.onnx"}).contains("metrics.speedup"));
}

TEST_CASE("parse: a command that this executable does not link has no run function") {
  CHECK_FALSE(parsed("prune", prune_with({})).line.run);
  CHECK_FALSE(parsed("doctor", {}).line.run);
}

}  // namespace pare
