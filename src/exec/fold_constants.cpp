#include "src/exec/fold_constants.hpp"

#include <algorithm>
#include <set>

#include <c10/util/Exception.h>

#include "src/core/error.hpp"
#include "src/exec/ops.hpp"
#include "src/exec/tensors.hpp"

namespace pare {
namespace {

// Integers become floats eight times their size at most; small results are kept whatever they are made of.
constexpr int64_t largest_growth = 8;
constexpr int64_t small_bytes = 1 << 16;

bool is_constant(const Graph& graph, const Node& node) {
  static const std::set<std::string, std::less<>> with_bodies = {"If", "Loop", "Scan"};
  if (node.inputs.empty() || with_bodies.contains(node.op)) return false;
  return std::all_of(node.inputs.begin(), node.inputs.end(),
                     [&](ValueId input) { return input == no_value || graph.value(input).constant.has_value(); });
}

int64_t bytes_of(std::span<const at::Tensor> tensors) {
  int64_t bytes = 0;
  for (const at::Tensor& tensor : tensors)
    if (tensor.defined()) bytes += static_cast<int64_t>(tensor.nbytes());
  return bytes;
}

// The node's outputs; nothing where it cannot run (running the plan will say why) or they are too large.
std::vector<at::Tensor> run(const Graph& graph, const Node& node) {
  std::vector<at::Tensor> in;
  std::vector<at::Tensor> out(node.outputs.size());
  try {
    for (const ValueId input : node.inputs)
      in.push_back(input == no_value ? at::Tensor() : to_aten(*graph.value(input).constant));
    make_step({graph, node})({in, out, false});
  } catch (const Error&) {
    return {};
  } catch (const c10::Error&) {
    return {};
  }
  return bytes_of(out) <= std::max(small_bytes, largest_growth * bytes_of(in)) ? out : std::vector<at::Tensor>{};
}

bool fold(Graph& graph, const Node& node) {
  const std::vector<at::Tensor> out = run(graph, node);
  if (out.empty()) return false;
  for (size_t i = 0; i < out.size(); ++i) {
    if (node.outputs[i] == no_value || !out[i].defined()) continue;
    Value& value = graph.value(node.outputs[i]);
    // 4-bit integers look like bytes to ATen: what the graph says of the type holds.
    const bool packed = is_packed(value.dtype);
    value.constant = from_aten(out[i], packed ? value.dtype : dtype_of(out[i].scalar_type()));
    value.dtype = value.constant->dtype;
    value.shape = value.constant->shape;
  }
  return true;
}

void drop_unread_constants(Graph& graph, const std::set<ValueId>& candidates) {
  std::set<ValueId> unread = candidates;
  for (const Node& node : graph.nodes)
    for (const ValueId input : node.inputs) unread.erase(input);
  for (const Port& output : graph.outputs) unread.erase(output.value);
  for (const ValueId id : unread) graph.value(id).constant.reset();
}

}  // namespace

int fold_constants(Graph& graph) {
  const c10::AutoGradMode no_grad(false);
  std::vector<Node> kept;
  std::set<ValueId> read_by_folded;
  int folded = 0;
  for (Node& node : graph.nodes) {
    if (is_constant(graph, node) && fold(graph, node)) {
      read_by_folded.insert(node.inputs.begin(), node.inputs.end());
      ++folded;
    } else {
      kept.push_back(std::move(node));
    }
  }
  graph.nodes = std::move(kept);
  read_by_folded.erase(no_value);
  drop_unread_constants(graph, read_by_folded);
  return folded;
}

}  // namespace pare
