#include "compress/tune_quantization.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/TensorOperators.h>
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

// A weight in units of its scales, which stay: its codes are what it is nearest to.
class LearnedCodes {
 public:
  // The leaf's float values move as little as rounding them to `rounded` needs.
  LearnedCodes(at::Tensor leaf, const EncodedWeight& rounded)
      : leaf_(std::move(leaf)), rounded_(rounded), units_(start()) {}

  void step(double rate) {
    if (!leaf_.grad().defined()) return;
    units_.step(leaf_.grad().mul(scales_), rate);
    leaf_.copy_(units_.leaf().mul(scales_));
  }

  EncodedWeight codes() const {
    EncodedWeight result = rounded_;
    const at::Tensor codes = units_.leaf()
                                 .round()
                                 .clamp(rounded_.range.lowest, rounded_.range.highest)
                                 .to(at::kChar)
                                 .contiguous()
                                 .to(at::kCPU);
    const int8_t* const from = codes.const_data_ptr<int8_t>();
    for (size_t i = 0; i < result.codes.size(); ++i) result.codes[i] = static_cast<uint8_t>(from[i]);
    return result;
  }

 private:
  at::Tensor start() {
    const c10::AutoGradMode no_grad(false);
    std::vector<float> scales = rounded_.element_scales(), decoded = rounded_.decoded();
    const auto tensor = [&](std::vector<float>& values) {
      return at::from_blob(values.data(), rounded_.groups.shape, at::kFloat).clone().to(leaf_.device());
    };
    scales_ = tensor(scales);
    const at::Tensor code = tensor(decoded).div(scales_);
    const at::Tensor off = leaf_.detach().div(scales_).sub(code).clamp(-0.49, 0.49);
    leaf_.copy_(code.add(off).mul(scales_));
    return leaf_.detach().div(scales_);
  }

  at::Tensor leaf_, scales_;
  EncodedWeight rounded_;
  Adam units_;
};

struct LearnedBias {
  at::Tensor leaf;
  Adam adam;
  double size;  // of the layer's sums, about
};

class Tuning {
 public:
  Tuning(const Graph& graph, const QuantPlacement& placement, const std::map<ValueId, ActivationCodes>& activations,
         const std::map<ValueId, EncodedWeight>& weights, const TuningConfig& config, at::Device device)
      : graph_(graph), start_(activations), config_(config) {
    Graph student = simulate_quantization(graph, placement, activations, weights), teacher = graph;
    add_blocks(student, teacher);
    for (size_t i = 0; i < graph.outputs.size(); ++i)
      logits_.push_back(looks_like_logits(graph, graph.outputs[i].value));
    student_.emplace(student);
    teacher_.emplace(teacher);
    teacher_parameters_.emplace(teacher, device, Training::off);
    parameters_.emplace(student, device, Training::on);
    for (const at::Tensor& leaf : parameters_->leaves()) at::Tensor(leaf).set_requires_grad(false);
    for (const auto& [id, codes] : activations)
      if (const ValueId step = student.find(graph.value(id).name + "/step"); step != no_value)
        steps_.emplace(id, LearnedStep(trained(step)));
    for (const QuantLayer& layer : placement.layers) {
      const EncodedWeight& weight = weights.at(layer.weight);
      codes_.emplace(layer.weight, LearnedCodes(trained(layer.weight), weight));
      if (layer.bias != no_value && !biases_.contains(layer.bias)) add_bias(placement, layer, weight);
    }
  }

  TunedValues run(const NextBatch& next, const std::function<void(int64_t)>& stepped) {
    std::vector<std::vector<at::Tensor>> compared;
    for (int64_t i = 0; i < compared_batches; ++i) {
      compared.emplace_back();
      for (const at::Tensor& input : next()) compared.back().push_back(input.clone());
    }
    TunedValues result;
    result.activations = start_;
    result.loss_before = result.loss_after = mean_loss(compared);
    for (int64_t step = 0; step < config_.steps; ++step) {
      const double done = static_cast<double>(step) / static_cast<double>(config_.steps);
      update(step < compared_batches ? compared[static_cast<size_t>(step)] : next(), 0.5 * (1 + std::cos(M_PI * done)));
      stepped(step + 1);
    }
    const double after = mean_loss(compared);
    if (!(after < result.loss_before)) return result;
    result.loss_after = after;
    for (const auto& [id, step] : steps_) result.activations.at(id).scale = step.value();
    for (const auto& [id, codes] : codes_) result.weights[id] = codes.codes();
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

  at::Tensor trained(ValueId id) {
    at::Tensor leaf = parameters_->tensor(id);
    leaf.set_requires_grad(true);
    trained_.push_back(leaf);
    return leaf;
  }

  void add_bias(const QuantPlacement& placement, const QuantLayer& layer, const EncodedWeight& weight) {
    const Tensor& bias = *graph_.value(layer.bias).constant;
    const QuantPlace* input = placement.find(layer.input);
    if (bias.dtype != DType::float32 || input == nullptr) return;
    const ActivationCodes& codes = start_.at(input->same_as == no_value ? input->value : input->same_as);
    // A quarter of the input's range, by a row of the weights.
    const double typical = 0.25 * double{codes.scale} * (codes.highest - codes.lowest);
    const std::vector<float> decoded = weight.decoded();
    double power = 0;
    for (const float value : decoded) power += double{value} * double{value};
    const double row = std::sqrt(power / static_cast<double>(std::max<int64_t>(1, bias.elements())));
    const at::Tensor leaf = trained(layer.bias);
    biases_.emplace(layer.bias, LearnedBias{leaf, Adam(leaf.detach()), typical * row});
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
    for (at::Tensor& leaf : trained_) leaf.mutable_grad() = at::Tensor();
    const at::Tensor loss = loss_of(inputs);
    if (!std::isfinite(loss.item<double>())) fail_input("the loss of tuned ranges is not finite; use --tune-steps 0");
    loss.backward();
    const c10::AutoGradMode no_grad(false);
    for (auto& [id, step] : steps_) step.step(share * config_.step_rate);
    for (auto& [id, codes] : codes_) codes.step(share * config_.code_rate);
    for (auto& [id, bias] : biases_)
      if (bias.leaf.grad().defined()) bias.adam.step(bias.leaf.grad(), share * config_.bias_rate * bias.size);
  }

  const Graph& graph_;
  const std::map<ValueId, ActivationCodes>& start_;
  const TuningConfig config_;
  std::vector<bool> logits_;  // of the graph's outputs
  std::optional<Executor> student_, teacher_;
  std::optional<Parameters> parameters_, teacher_parameters_;
  std::vector<at::Tensor> trained_;
  std::map<ValueId, LearnedStep> steps_;
  std::map<ValueId, LearnedCodes> codes_;
  std::map<ValueId, LearnedBias> biases_;
};

}  // namespace

TunedValues tune_quantization(const Graph& graph, const QuantPlacement& placement,
                              const std::map<ValueId, ActivationCodes>& activations,
                              const std::map<ValueId, EncodedWeight>& weights, const TuningConfig& config,
                              at::Device device, const NextBatch& next,
                              const std::function<void(int64_t step)>& stepped) {
  return Tuning(graph, placement, activations, weights, config, device).run(next, stepped);
}

}  // namespace pare
