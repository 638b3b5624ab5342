#include "commands/command.hpp"

#include <array>

#include "commands/convert.hpp"
#include "commands/distill.hpp"
#include "commands/doctor.hpp"
#include "commands/evaluate.hpp"
#include "commands/inspect.hpp"
#include "commands/prune.hpp"
#include "commands/qat.hpp"
#include "commands/quantize.hpp"
#include "src/core/suggest.hpp"

namespace pare {

namespace {

constexpr std::array table = {
    Command{"inspect", "inputs, operators, parameters, MACs, size and sparsity of a model",
            "pare inspect model.onnx --report model.json", Sibling::hdf5, add_inspect},
    Command{"convert", "ONNX <-> HDF5 without loss", "pare convert small.h5 small.onnx", Sibling::hdf5, add_convert},
    Command{"evaluate", "metrics on data, agreement with a baseline, latency, gates",
            "pare evaluate small.h5 --data images/ --gate 'accuracy>=0.91'", Sibling::engine, add_evaluate},
    Command{"prune", "score the weights, mask the least important, retrain the rest",
            "pare prune net.onnx --sparsity 0.8 --data images/ -o out.onnx -o out.h5", Sibling::engine, add_prune},
    Command{"quantize", "weights and activations as integers, after training",
            "pare quantize net.onnx --weights int4 --activations none -o out.onnx", Sibling::engine, add_quantize},
    Command{"qat", "train with the rounding of the quantized file, and write that file",
            "pare qat net.onnx --weights int4 --data images/ -o out.onnx -o out.h5", Sibling::engine, add_qat},
    Command{"distill", "train a student model from a teacher model, or from labels alone",
            "pare distill student.onnx --teacher big.onnx --data images/ -o out.onnx", Sibling::engine, add_distill},
    Command{"doctor", "what this build and this machine can do", "pare doctor --report doctor.json", Sibling::engine,
            add_doctor},
};

}  // namespace

std::span<const Command> command_table() { return table; }

const Command& find_command(std::string_view name) {
  std::vector<std::string> names;
  for (const auto& command : table) {
    if (name == command.name) return command;
    names.emplace_back(command.name);
  }
  fail_usage("unknown command '{}'{}", name, did_you_mean(name, names, "; see pare --help"));
}

std::vector<std::string> measurable_of_model() {
  return {"model.parameters", "model.nonzero", "model.macs", "model.bytes", "cost.duration", "cost.peak_rss"};
}

std::vector<std::string> measurable_of_result() {
  return {"result.parameters", "result.nonzero", "result.sparsity", "result.macs"};
}

std::vector<std::string> joined(std::initializer_list<std::vector<std::string>> lists) {
  std::vector<std::string> all;
  for (const auto& list : lists) all.insert(all.end(), list.begin(), list.end());
  return all;
}

}  // namespace pare
