#include "compress/joint_rounding.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/kl_div.h>
#include <ATen/ops/log.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/zeros.h>

#include "compress/adam.hpp"
#include "compress/simulated_activations.hpp"
#include "src/core/error.hpp"
#include "src/exec/tensors.hpp"
#include "src/graph/block_outputs.hpp"
#include "src/train/loss_plan.hpp"

namespace pare {
namespace {

constexpr size_t most_blocks = 8;
constexpr int64_t compared_batches = 8;
// How far a code may be from the nearest one, before rounding.
constexpr double reach = 1.499;

at::Tensor tensor_of(std::vector<float> values, const Shape& shape) {
  return at::from_blob(values.data(), shape, at::kFloat).clone();
}

at::Tensor codes_of(const EncodedWeight& weight) {
  std::vector<float> codes;
  for (const uint8_t code : weight.codes) codes.push_back(static_cast<float>(static_cast<int8_t>(code)));
  return tensor_of(std::move(codes), weight.groups.shape);
}

// A weight: its codes before rounding, within what is allowed.
class LearnedWeight {
 public:
  LearnedWeight(const Tensor& exact, const EncodedWeight& start, const EncodedWeight& nearest, at::Tensor leaf)
      : leaf_(std::move(leaf)),
        scales_(tensor_of(start.element_scales(), start.groups.shape).to(leaf_.device())),
        codes_(begin(exact, start).to(leaf_.device())) {
    const at::Tensor middle = codes_of(nearest).to(leaf_.device());
    const auto lowest = static_cast<double>(start.range.lowest), highest = static_cast<double>(start.range.highest);
    low_ = middle.sub(reach).clamp_min_(lowest - reach + 1);
    high_ = middle.add(reach).clamp_max_(highest + reach - 1);
  }

  void show() { leaf_.copy_(codes_.leaf().round().mul_(scales_)); }

  void step(double rate) {
    if (!leaf_.grad().defined()) return;
    codes_.step(leaf_.grad().mul(scales_), rate);
    at::Tensor codes = codes_.leaf();
    codes.copy_(codes.maximum(low_).minimum(high_));
  }

  EncodedWeight encoded(EncodedWeight weight) const {
    const at::Tensor bytes = codes_.leaf().round().to(at::kCPU).to(at::kChar).contiguous();
    const auto* first = reinterpret_cast<const uint8_t*>(bytes.const_data_ptr<int8_t>());
    weight.codes.assign(first, first + bytes.numel());
    return weight;
  }

 private:
  // Where the weight lies between codes, as far as it rounds to the code that it has.
  static at::Tensor begin(const Tensor& exact, const EncodedWeight& start) {
    constexpr double inside = 0.45;
    const at::Tensor codes = codes_of(start);
    const at::Tensor scales = tensor_of(start.element_scales(), start.groups.shape);
    return to_aten(exact).to(at::kFloat).div(scales).sub_(codes).clamp_(-inside, inside).add_(codes);
  }

  at::Tensor leaf_, scales_, low_, high_;
  Adam codes_;
};

// A step of activations, by its logarithm.
class LearnedStep {
 public:
  explicit LearnedStep(at::Tensor leaf) : leaf_(std::move(leaf)), logarithm_(leaf_.detach().log()) {}

  void step(double rate) {
    if (!leaf_.grad().defined()) return;
    logarithm_.step(leaf_.grad().mul(leaf_.detach()), rate);
    leaf_.copy_(logarithm_.leaf().exp());
  }

  float value() const { return leaf_.item<float>(); }

 private:
  at::Tensor leaf_;
  Adam logarithm_;
};

struct LearnedBias {
  at::Tensor leaf;
  Adam adam;
  double size;  // of the layer's sums, about
};

class JointRounding {
 public:
  JointRounding(const Graph& graph, const QuantPlacement& placement, const JointValues& start,
                const std::map<ValueId, EncodedWeight>& nearest, const JointConfig& config, at::Device device)
      : graph_(graph), start_(start), config_(config) {
    Graph student = simulate_activations(graph, placement, start.activations), teacher = graph;
    add_blocks(student, teacher);
    for (size_t i = 0; i < graph.outputs.size(); ++i)
      logits_.push_back(looks_like_logits(graph, graph.outputs[i].value));
    student_.emplace(student);
    teacher_.emplace(teacher);
    teacher_parameters_.emplace(teacher, device, Training::off);
    parameters_.emplace(student, device, Training::on);
    for (const at::Tensor& leaf : parameters_->leaves()) at::Tensor(leaf).set_requires_grad(false);
    for (const auto& [id, codes] : start.activations)
      if (const ValueId step = student.find(graph.value(id).name + "/step"); step != no_value)
        steps_.emplace(id, LearnedStep(trained(step)));
    for (const QuantLayer& layer : placement.layers) {
      const EncodedWeight& weight = start.weights.at(layer.weight);
      weights_.emplace(layer.weight, LearnedWeight(*graph.value(layer.weight).constant, weight,
                                                   nearest.at(layer.weight), trained(layer.weight)));
      if (layer.bias != no_value && !biases_.contains(layer.bias)) add_bias(placement, layer, weight);
    }
  }

  JointValues run(const NextBatch& next, const std::function<void(int64_t)>& stepped) {
    std::vector<std::vector<at::Tensor>> compared;
    for (int64_t i = 0; i < compared_batches; ++i) compared.push_back(next());
    JointValues result = start_;
    show();
    const double before = mean_loss(compared);
    for (int64_t step = 0; step < config_.steps; ++step) {
      const double done = static_cast<double>(step) / static_cast<double>(config_.steps);
      update(step < compared_batches ? compared[static_cast<size_t>(step)] : next(), 0.5 * (1 + std::cos(M_PI * done)));
      stepped(step + 1);
    }
    const double after = mean_loss(compared);
    result.loss_before = result.loss_after = before;
    if (!(after < before)) return result;
    result.loss_after = after;
    for (const auto& [id, weight] : weights_) result.weights.at(id) = weight.encoded(start_.weights.at(id));
    for (const auto& [id, step] : steps_) result.activations.at(id).scale = step.value();
    for (const auto& [id, bias] : biases_) result.biases[id] = from_aten(bias.leaf.detach(), DType::float32);
    return result;
  }

 private:
  // The blocks' outputs become outputs of both: of the student those that later layers are given.
  void add_blocks(Graph& student, Graph& teacher) const {
    std::vector<std::string> exact, quantized;
    for (const ValueId block : block_outputs(graph_, most_blocks)) {
      const std::string& name = graph_.value(block).name;
      if (name.empty()) continue;
      exact.push_back(name);
      quantized.push_back(student.find(name + "/quantized") == no_value ? name : name + "/quantized");
    }
    student = with_outputs(student, quantized);
    teacher = with_outputs(teacher, exact);
  }

  at::Tensor trained(ValueId id) const {
    at::Tensor leaf = parameters_->tensor(id);
    leaf.set_requires_grad(true);
    return leaf;
  }

  void add_bias(const QuantPlacement& placement, const QuantLayer& layer, const EncodedWeight& weight) {
    const Tensor& bias = *graph_.value(layer.bias).constant;
    const QuantPlace* input = placement.find(layer.input);
    if (bias.dtype != DType::float32 || input == nullptr) return;
    const ActivationCodes& codes = start_.activations.at(input->same_as == no_value ? input->value : input->same_as);
    // A quarter of the input's range, by a row of the weights.
    const double typical = 0.25 * double{codes.scale} * (codes.highest - codes.lowest);
    const std::vector<float> decoded = weight.decoded();
    double power = 0;
    for (const float value : decoded) power += double{value} * double{value};
    const double row = std::sqrt(power / static_cast<double>(std::max<int64_t>(1, bias.elements())));
    const at::Tensor leaf = trained(layer.bias);
    biases_.emplace(layer.bias, LearnedBias{leaf, Adam(leaf.detach()), typical * row});
  }

  void show() {
    const c10::AutoGradMode no_grad(false);
    for (auto& [id, weight] : weights_) weight.show();
  }

  at::Tensor loss_of(const std::vector<at::Tensor>& inputs) const {
    std::vector<at::Tensor> wanted;
    {
      const c10::AutoGradMode no_grad(false);
      wanted = teacher_->run(*teacher_parameters_, inputs, false);
    }
    const std::vector<at::Tensor> given = student_->run(*parameters_, inputs, false);
    at::Tensor loss = at::zeros({}, wanted.front().options().dtype(at::kFloat));
    const auto blocks = static_cast<double>(std::max<size_t>(1, wanted.size() - logits_.size()));
    for (size_t i = 0; i < wanted.size(); ++i) {
      if (!wanted[i].is_floating_point()) continue;
      const bool block = i >= logits_.size();
      const at::Tensor term = !block && logits_[i] ? divergence(given[i], wanted[i]) : relative(given[i], wanted[i]);
      loss = loss + term * (block ? config_.block_weight / blocks : 1);
    }
    return loss;
  }

  static at::Tensor divergence(const at::Tensor& given, const at::Tensor& wanted) {
    const at::Tensor difference =
        at::kl_div(at::log_softmax(given, -1), at::log_softmax(wanted, -1), at::Reduction::Sum, true);
    return difference / static_cast<double>(std::max<int64_t>(1, wanted.numel() / wanted.size(-1)));
  }

  static at::Tensor relative(const at::Tensor& given, const at::Tensor& wanted) {
    return (given - wanted).square().sum() / wanted.square().sum().clamp_min(1e-20);
  }

  double mean_loss(const std::vector<std::vector<at::Tensor>>& batches) const {
    const c10::AutoGradMode no_grad(false);
    double sum = 0;
    for (const std::vector<at::Tensor>& inputs : batches) sum += loss_of(inputs).item<double>();
    return sum / static_cast<double>(batches.size());
  }

  void update(const std::vector<at::Tensor>& inputs, double share) {
    for (const at::Tensor& leaf : parameters_->leaves()) at::Tensor(leaf).mutable_grad() = at::Tensor();
    const at::Tensor loss = loss_of(inputs);
    if (!std::isfinite(loss.item<double>()))
      fail_input("the loss of learned rounding is not finite; use --joint-steps 0");
    loss.backward();
    const c10::AutoGradMode no_grad(false);
    for (auto& [id, weight] : weights_) weight.step(share * config_.code_rate);
    for (auto& [id, step] : steps_) step.step(share * config_.step_rate);
    for (auto& [id, bias] : biases_)
      if (bias.leaf.grad().defined()) bias.adam.step(bias.leaf.grad(), share * config_.bias_rate * bias.size);
    show();
  }

  const Graph& graph_;
  const JointValues& start_;
  const JointConfig config_;
  std::vector<bool> logits_;  // of the graph's outputs
  std::optional<Executor> student_, teacher_;
  std::optional<Parameters> parameters_, teacher_parameters_;
  std::map<ValueId, LearnedWeight> weights_;
  std::map<ValueId, LearnedStep> steps_;
  std::map<ValueId, LearnedBias> biases_;
};

}  // namespace

JointValues round_jointly(const Graph& graph, const QuantPlacement& placement, JointValues start,
                          const std::map<ValueId, EncodedWeight>& nearest, const JointConfig& config, at::Device device,
                          const NextBatch& next, const std::function<void(int64_t step)>& stepped) {
  return JointRounding(graph, placement, start, nearest, config, device).run(next, stepped);
}

}  // namespace pare
