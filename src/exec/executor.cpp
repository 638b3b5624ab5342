#include "src/exec/executor.hpp"

#include <set>

#include <c10/util/Exception.h>

#include "src/core/error.hpp"
#include "src/exec/tensors.hpp"
#include "src/graph/op_table.hpp"
#include "src/graph/passes/fold_sizes.hpp"
#include "src/graph/passes/inline_graph.hpp"
#include "src/graph/passes/run_pass.hpp"

namespace pare {
namespace {

// The first line of ATen's message: the rest is a C++ backtrace.
std::string reason(const c10::Error& error) {
  const std::string text = error.what_without_backtrace();
  return text.substr(0, text.find('\n'));
}

// Whether the node may overwrite its input: the only reader of a computed value whose producer does not need it for its
// gradient.
bool may_overwrite(const Node& node, const std::map<ValueId, const Node*>& producers, const std::vector<int>& readers) {
  static const std::set<std::string, std::less<>> forgetful = {"Add", "BatchNormalization", "Conv", "Gemm", "MatMul",
                                                               "Sub"};
  if (node.inputs.empty() || node.inputs[0] == no_value || readers[static_cast<size_t>(node.inputs[0])] != 1)
    return false;
  const auto producer = producers.find(node.inputs[0]);
  return producer != producers.end() && producer->second->domain.empty() && forgetful.contains(producer->second->op);
}

// The graph to run: what follows from constants and from sizes that every run shares is computed now. The first
// dimension of an input is the batch, which runs choose whatever the file says; what the file declares of computed
// values may rest on its own batch.
Graph folded(const Graph& graph, Constants constants) {
  Graph result = graph;
  for (const Port& input : result.inputs) {
    auto& shape = result.value(input.value).shape;
    if (constants == Constants::given && shape && !shape->empty()) shape->front() = -1;
  }
  for (const Node& node : result.nodes)
    for (const ValueId output : node.outputs)
      if (output != no_value) result.value(output).shape.reset();
  do run_pass(result, "fold sizes", fold_sizes);
  while (run_pass(result, "inline constant ifs", inline_constant_ifs) > 0);
  run_pass(result, "remove dead nodes", remove_dead_nodes);
  return result;
}

}  // namespace

Executor::Executor(const Graph& graph, Constants constants, Weights weights) {
  const Graph shaped = folded(graph, constants);
  check_supported(shaped);
  const auto given = [&](size_t id) {
    return constants == Constants::given && id < graph.values.size() && graph.values[id].constant.has_value();
  };
  shared_.resize(shaped.values.size());
  for (size_t id = 0; id < shaped.values.size(); ++id)
    if (shaped.values[id].constant && !given(id)) shared_[id] = shared_aten(*shaped.values[id].constant);
  for (const Port& input : shaped.inputs) shared_[static_cast<size_t>(input.value)] = at::Tensor();
  std::vector<int64_t> last_reader(shaped.values.size(), -1);
  std::vector<int> readers(shaped.values.size(), 0);
  std::map<ValueId, const Node*> producers;
  for (const Node& node : shaped.nodes) {
    for (const ValueId input : node.inputs)
      if (input != no_value) ++readers[static_cast<size_t>(input)];
    for (const ValueId output : node.outputs) producers[output] = &node;
  }
  for (const Port& output : graph.outputs) ++readers[static_cast<size_t>(output.value)];
  for (size_t i = 0; i < shaped.nodes.size(); ++i) {
    const Node& node = shaped.nodes[i];
    Step step = may_overwrite(node, producers, readers) ? ops::in_place(node) : nullptr;
    if (!step) step = make_step({shaped, node, weights == Weights::fixed});
    steps_.push_back({std::move(step), node.label(), node.inputs, node.outputs, {}});
    for (const ValueId input : node.inputs)
      if (input != no_value) last_reader[static_cast<size_t>(input)] = static_cast<int64_t>(i);
  }
  for (const Port& input : graph.inputs) inputs_.push_back(input.value);
  for (const Port& output : graph.outputs) {
    outputs_.push_back(output.value);
    last_reader[static_cast<size_t>(output.value)] = -1;
  }
  for (size_t id = 0; id < last_reader.size(); ++id)
    if (last_reader[id] >= 0 && !shaped.values[id].constant)
      steps_[static_cast<size_t>(last_reader[id])].released.push_back(static_cast<ValueId>(id));
}

std::vector<at::Tensor> Executor::run(const Parameters& parameters, std::span<const at::Tensor> inputs, bool training,
                                      const Observation* observation) const {
  std::vector<at::Tensor> values(shared_.size());
  const auto at = [&](ValueId id) -> at::Tensor& { return values[static_cast<size_t>(id)]; };
  const auto observe = [&](ValueId id) {
    if (observation != nullptr && observation->watches(id)) observation->seen(id, at(id));
  };
  const auto value_of = [&](ValueId id) {
    if (id == no_value) return at::Tensor();
    return at(id).defined() || static_cast<size_t>(id) >= parameters.size() ? at(id) : parameters.tensor(id);
  };
  for (size_t id = 0; id < shared_.size(); ++id)
    if (shared_[id].defined())
      values[id] = shared_[id].is_floating_point() ? shared_[id].to(parameters.device()) : shared_[id];
  for (size_t i = 0; i < inputs_.size(); ++i) {
    at(inputs_[i]) = inputs[i];
    observe(inputs_[i]);
  }
  std::vector<at::Tensor> in;
  std::vector<at::Tensor> out;
  for (const PlannedStep& step : steps_) {
    in.clear();
    for (const ValueId id : step.inputs) in.push_back(value_of(id));
    out.assign(step.outputs.size(), at::Tensor());
    try {
      step.step({in, out, training});
    } catch (const c10::Error& error) {
      fail_input("{}: {}", step.label, reason(error));
    } catch (const Error& error) {
      throw error.within(step.label);
    }
    for (size_t i = 0; i < out.size(); ++i) {
      if (step.outputs[i] == no_value) continue;
      at(step.outputs[i]) = std::move(out[i]);
      observe(step.outputs[i]);
    }
    for (const ValueId id : step.released) at(id) = at::Tensor();
  }
  std::vector<at::Tensor> results;
  for (const ValueId id : outputs_) results.push_back(value_of(id));
  return results;
}

}  // namespace pare
