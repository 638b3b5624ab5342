// If, Loop and Scan: their subgraphs are plans of their own, which autograd sees through.
#include <algorithm>
#include <limits>

#include <ATen/ops/empty.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/stack.h>

#include "src/core/error.hpp"
#include "src/exec/executor.hpp"
#include "src/graph/subgraph.hpp"

namespace pare::ops {
namespace {

using Values = std::vector<at::Tensor>;

// A subgraph, ready to run.
class Body {
 public:
  Body(const Site& site, const char* attribute)
      : plan_(std::make_shared<Executor>(seen_from(site.graph, site.node, *site.node.subgraph(attribute)),
                                         Constants::own)),
        captured_(site.node.captured) {}

  // `own` are the inputs that the operator gives; the values captured from around follow them.
  Values run(const Call& call, Values own) const {
    for (size_t i = call.in.size() - captured_; i < call.in.size(); ++i) own.push_back(call.in[i]);
    at::Device device = at::kCPU;
    for (const at::Tensor& value : own)
      if (value.defined() && !value.device().is_cpu()) device = value.device();
    return plan_->run(Parameters(Graph(), device, Training::off), own, call.training);
  }

  size_t outputs() const { return plan_->output_count(); }

 private:
  std::shared_ptr<Executor> plan_;
  size_t captured_;
};

bool is_true(const at::Tensor& value) { return value.item().toBool(); }

at::Tensor stacked(const Values& slices, int64_t axis) {
  return slices.empty() ? at::empty({0}) : at::stack(slices, axis < 0 ? axis + slices[0].dim() + 1 : axis);
}

void check_outputs(const Site& site, size_t body, size_t expected) {
  if (body != expected) fail_input("{}: a subgraph has {} outputs (expected {})", site.node.label(), body, expected);
}

}  // namespace

Step if_else(const Site& site) {
  const Body yes(site, "then_branch");
  const Body no(site, "else_branch");
  check_outputs(site, yes.outputs(), site.node.outputs.size());
  check_outputs(site, no.outputs(), site.node.outputs.size());
  return [=](const Call& call) {
    Values results = (is_true(call.in[0]) ? yes : no).run(call, {});
    for (size_t i = 0; i < call.out.size(); ++i) call.out[i] = std::move(results[i]);
  };
}

// Inputs: trip count, condition, state; the body takes (iteration, condition, state) and gives (condition, state,
// slices that are stacked).
Step loop(const Site& site) {
  const Body body(site, "body");
  if (site.node.inputs.size() < site.node.captured + 2) fail_input("{}: needs two inputs", site.node.label());
  const size_t states = site.node.inputs.size() - site.node.captured - 2;
  if (site.node.outputs.size() < states) fail_input("{}: has fewer outputs than states", site.node.label());
  check_outputs(site, body.outputs(), 1 + site.node.outputs.size());
  return [=](const Call& call) {
    const int64_t trips = call.in[0].defined() ? call.in[0].item<int64_t>() : std::numeric_limits<int64_t>::max();
    bool more = !call.in[1].defined() || is_true(call.in[1]);
    Values state(call.in.begin() + 2, call.in.begin() + 2 + static_cast<std::ptrdiff_t>(states));
    std::vector<Values> slices(call.out.size() - states);
    for (int64_t i = 0; i < trips && more; ++i) {
      Values own = {at::scalar_tensor(i, at::TensorOptions().dtype(at::kLong)),
                    at::scalar_tensor(more, at::TensorOptions().dtype(at::kBool))};
      own.insert(own.end(), state.begin(), state.end());
      Values results = body.run(call, std::move(own));
      more = is_true(results[0]);
      for (size_t s = 0; s < states; ++s) state[s] = results[1 + s];
      for (size_t s = 0; s < slices.size(); ++s) slices[s].push_back(results[1 + states + s]);
    }
    for (size_t s = 0; s < states; ++s) call.out[s] = state[s];
    for (size_t s = 0; s < slices.size(); ++s) call.out[states + s] = stacked(slices[s], 0);
  };
}

// Inputs: state, sequences; each run of the body takes the state and a slice of each sequence, and gives the state and
// slices.
Step scan(const Site& site) {
  const Node& node = site.node;
  const Body body(site, "body");
  const size_t given = node.inputs.size() - node.captured;
  const auto sequences = static_cast<size_t>(node.integer("num_scan_inputs", 0));
  if (sequences == 0 || sequences > given) fail_input("{}: num_scan_inputs does not fit the inputs", node.label());
  const size_t states = given - sequences;
  if (node.outputs.size() < states) fail_input("{}: has fewer outputs than states", node.label());
  check_outputs(site, body.outputs(), node.outputs.size());
  const size_t results_count = node.outputs.size() - states;
  const auto listed = [&](const char* name, size_t count) {
    auto list = node.integers(name, std::vector<int64_t>(count, 0));
    if (list.size() != count) fail_input("{}: {} has {} entries (expected {})", node.label(), name, list.size(), count);
    return list;
  };
  const auto in_axes = listed("scan_input_axes", sequences);
  const auto in_directions = listed("scan_input_directions", sequences);
  const auto out_axes = listed("scan_output_axes", results_count);
  const auto out_directions = listed("scan_output_directions", results_count);
  return [=](const Call& call) {
    Values state(call.in.begin(), call.in.begin() + static_cast<std::ptrdiff_t>(states));
    std::vector<Values> slices(results_count);
    const int64_t length = call.in[states].size(in_axes[0]);
    for (int64_t i = 0; i < length; ++i) {
      Values own = state;
      for (size_t s = 0; s < sequences; ++s)
        own.push_back(call.in[states + s].select(in_axes[s], in_directions[s] == 0 ? i : length - 1 - i));
      const Values results = body.run(call, std::move(own));
      for (size_t s = 0; s < states; ++s) state[s] = results[s];
      for (size_t s = 0; s < results_count; ++s) slices[s].push_back(results[states + s]);
    }
    for (size_t s = 0; s < states; ++s) call.out[s] = state[s];
    for (size_t s = 0; s < results_count; ++s) {
      if (out_directions[s] != 0) std::reverse(slices[s].begin(), slices[s].end());
      call.out[states + s] = stacked(slices[s], out_axes[s]);
    }
  };
}

}  // namespace pare::ops
