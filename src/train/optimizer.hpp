// SGD and AdamW on ATen's fused kernels, with their state open to masks and checkpoints. Steps of fake quantization are
// trained by their logarithm (Jain et al., Trained Quantization Thresholds, 2020): they stay positive, and a learning
// rate means the same change for each, whatever its size.
#pragma once

#include <memory>

#include "src/exec/parameters.hpp"

namespace pare {

struct OptimizerConfig {
  std::string kind = "adamw";  // adamw (Loshchilov & Hutter 2019; betas 0.9, 0.999) | sgd
  double weight_decay = 0;     // of weights; offsets and steps are never decayed
  double momentum = 0.9;       // of sgd; 0: none
  bool nesterov = true;        // of sgd with momentum
};

// State tensors of one parameter: its moments in the parameter's layout (momentum, or first and second moments), and
// for adamw the number of updates that it had.
struct OptimizerState {
  std::string name;
  at::Tensor weight;
  std::vector<at::Tensor> moments;
  at::Tensor count;  // [] float; undefined for sgd
};

class Optimizer {
 public:
  Optimizer(const Parameters& parameters, OptimizerConfig config);

  // Updates every leaf from its gradient. `found_inf`, where defined, is [] float on the leaves' device: when it is 1
  // nothing changes.
  void step(double learning_rate, const at::Tensor& found_inf = {});
  void zero_grad();

  const std::vector<OptimizerState>& states() const { return states_; }
  // All state by name, for checkpoints; contents may be replaced in place.
  std::map<std::string, at::Tensor> state() const;

 private:
  // Leaves that share a weight decay, in the form the fused kernels take.
  struct Group {
    double weight_decay = 0;
    std::vector<at::Tensor> leaves, first, second, counts;
    bool logarithmic = false;  // leaves are positive, and their logarithms are what is trained
  };

  void add(Group& group, const Parameter& parameter);

  OptimizerConfig config_;
  std::vector<Group> groups_;
  std::vector<OptimizerState> states_;
};

}  // namespace pare
