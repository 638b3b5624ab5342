#include "src/train/loss_plan.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/ranges.h>

#include "src/core/error.hpp"
#include "src/core/suggest.hpp"
#include "src/graph/op_table.hpp"

namespace pare {
namespace {

const Node* producer_of(const Graph& graph, ValueId value) {
  for (const Node& node : graph.nodes)
    if (std::find(node.outputs.begin(), node.outputs.end(), value) != node.outputs.end()) return &node;
  return nullptr;
}

// Nodes that pass their first computed input on, apart from its shape, a constant offset or rounding.
bool passes_on(const Graph& graph, const Node& node) {
  static const std::vector<std::string_view> always = {"Identity", "Flatten", "Reshape",  "Squeeze",
                                                       "Cast",     "Dropout", "FakeQuant"};
  if (std::find(always.begin(), always.end(), node.op) != always.end()) return true;
  return node.op == "Add" && (graph.value(node.inputs[0]).constant || graph.value(node.inputs[1]).constant);
}

size_t output_named(const Graph& graph, const std::string& name) {
  std::vector<std::string> names;
  for (size_t i = 0; i < graph.outputs.size(); ++i) {
    names.push_back(graph.value(graph.outputs[i].value).name);
    if (names.back() == name) return i;
  }
  fail_usage("--output: the model has no output '{}' (expected one of: {}){}", name, fmt::join(names, ", "),
             did_you_mean(name, names));
}

// "ce", "kl:0.7", "mse@hidden:2" for each of `outputs` where none is named.
void read_term(const Graph& graph, const std::string& text, const std::vector<size_t>& outputs, LossPlan& plan) {
  LossTerm term;
  std::string name = text;
  if (const size_t colon = name.find(':'); colon != std::string::npos) {
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, term.weight);
    if (error != std::errc{} || stop != end || !(term.weight > 0))
      fail_usage("--loss: bad weight (got '{}', expected NAME:WEIGHT with a weight above 0)", text);
    name.resize(colon);
  }
  std::vector<size_t> places = outputs;
  if (const size_t at = name.find('@'); at != std::string::npos) {
    places = {output_named(graph, name.substr(at + 1))};
    name.resize(at);
  }
  std::vector<std::string> known;
  const LossName* found = nullptr;
  for (const LossName& row : loss_names) {
    known.emplace_back(row.name);
    if (row.name == name) found = &row;
  }
  if (found == nullptr)
    fail_usage("--loss: unknown (got '{}', expected some of: {}){}", name, fmt::join(known, ", "),
               did_you_mean(name, known));
  term.kind = found->kind;
  for (const size_t output : places) {
    term.output = output;
    plan.terms.push_back(term);
  }
}

bool floating(const Graph& graph, size_t output) {
  const DType dtype = graph.value(graph.outputs[output].value).dtype;
  return dtype == DType::undefined || is_float(dtype);
}

LossKind taught_kind(const Graph& graph, size_t output) {
  return looks_like_logits(graph, graph.outputs[output].value) ? LossKind::kl : LossKind::relative;
}

void plan_by_task(const Graph& graph, const LossRequest& request, const std::vector<size_t>& outputs, LossPlan& plan) {
  const double taught = plan.task == "none" ? 1 : request.teacher ? request.kd_weight : 0;
  for (const size_t output : outputs) {
    if (request.teacher && taught > 0) plan.terms.push_back({taught_kind(graph, output), output, taught});
    if (taught >= 1) continue;
    if (plan.task == "classify") plan.terms.push_back({LossKind::ce, output, 1 - taught});
    else if (plan.targets[output] >= 0) plan.terms.push_back({LossKind::mse, output, 1 - taught});
  }
}

void check_terms(const Graph& graph, const LossRequest& request, const LossPlan& plan) {
  for (const LossTerm& term : plan.terms) {
    const std::string& output = graph.value(graph.outputs[term.output].value).name;
    const bool taught = term.kind == LossKind::kl || term.kind == LossKind::dkd || term.kind == LossKind::relative;
    if (term.kind == LossKind::ce && !request.labelled)
      fail_usage("--loss ce: the data has no labels; give others, or leave --loss out to learn from the teacher");
    if (!request.teacher && (taught || (term.kind != LossKind::ce && plan.targets[term.output] < 0)))
      fail_usage("--loss {}: there is nothing to compare output '{}' with (neither a teacher nor targets)",
                 name_of(term.kind), output);
  }
}

std::string task_of(const LossRequest& request) {
  if (request.task == "classify" && !request.labelled)
    fail_usage("--task classify: the data has no labels; give --labels, or --task none to learn from the teacher");
  if (request.task == "regress" && request.targets.empty())
    fail_usage("--task regress: the data has no targets; give --task none to learn from the teacher");
  if (request.task != "auto") return request.task;
  return request.labelled ? "classify" : !request.targets.empty() ? "regress" : "none";
}

}  // namespace

std::string_view name_of(LossKind kind) {
  return std::find_if(loss_names.begin(), loss_names.end(), [&](const LossName& row) { return row.kind == kind; })
      ->name;
}

bool looks_like_logits(const Graph& graph, ValueId output) {
  Graph shaped = graph;
  infer_shapes(shaped);
  const auto& shape = shaped.value(output).shape;
  if (!shape || shape->size() != 2 || shape->back() == 1) return false;
  const Node* node = producer_of(shaped, output);
  bool pooled = false;
  while (node != nullptr) {
    pooled = pooled || node->op == "GlobalAveragePool";
    if (!passes_on(shaped, *node) && node->op != "GlobalAveragePool") break;
    const bool constant_first = shaped.value(node->inputs[0]).constant.has_value();
    node = producer_of(shaped, node->inputs[constant_first ? 1 : 0]);
  }
  if (node == nullptr) return false;
  return node->op == "Gemm" || node->op == "MatMul" || (pooled && (node->op == "Conv" || node->op == "Relu"));
}

LossPlan plan_losses(const Graph& graph, const LossRequest& request) {
  LossPlan plan;
  plan.task = task_of(request);
  plan.targets.assign(graph.outputs.size(), -1);
  for (size_t i = 0; i < request.targets.size(); ++i) {
    const ValueId id = graph.find(request.targets[i]);
    auto output = std::find_if(graph.outputs.begin(), graph.outputs.end(),
                               [&](const Port& port) { return id != no_value && port.value == id; });
    const auto place = output != graph.outputs.end() ? static_cast<size_t>(output - graph.outputs.begin()) : i;
    if (place < plan.targets.size() && plan.targets[place] < 0) plan.targets[place] = static_cast<int>(i);
  }
  std::vector<size_t> outputs;
  for (const std::string& name : request.outputs) outputs.push_back(output_named(graph, name));
  if (outputs.empty() && plan.task == "classify") outputs = {0};
  if (outputs.empty())
    for (size_t i = 0; i < graph.outputs.size(); ++i)
      if (floating(graph, i)) outputs.push_back(i);
  for (size_t start = 0; start < request.losses.size();) {
    const size_t comma = std::min(request.losses.find(',', start), request.losses.size());
    read_term(graph, request.losses.substr(start, comma - start), outputs, plan);
    start = comma + 1;
  }
  if (request.losses.empty()) plan_by_task(graph, request, outputs, plan);
  check_terms(graph, request, plan);
  if (plan.terms.empty())
    fail_input(
        "training: there is nothing to learn from (neither labels nor targets nor a teacher); give --teacher or "
        "--labels");
  return plan;
}

std::string plan_text(const Graph& graph, const LossPlan& plan) {
  std::vector<std::string> parts;
  for (const LossTerm& term : plan.terms)
    parts.push_back(fmt::format("{:.3g} {} of {}", term.weight, name_of(term.kind),
                                graph.value(graph.outputs[term.output].value).name));
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace pare
