// Unstructured pruning while a model trains: scores from gradients, masks by exact selection, zeros that stay zero.
#pragma once

#include "compress/importance.hpp"
#include "compress/sparsity_schedule.hpp"
#include "src/exec/parameters.hpp"
#include "src/train/optimizer.hpp"

namespace pare {

struct PruneConfig {
  kernels::Importance importance = kernels::Importance::taylor;
  double average = 0.99;         // decay of the moving average of scores, in [0, 1)
  std::string scope = "global";  // global: one threshold for all weights; layer: the same sparsity in each
};

class Pruner {
 public:
  // Prunes the weights whose names `selected` accepts. Weights that are zero already and named in `masked` stay zero.
  // Throws (exit 2) when nothing is selected.
  Pruner(const Parameters& parameters, const Optimizer& optimizer, PruneConfig config,
         const std::function<bool(const std::string&)>& selected, const std::vector<std::string>& masked);

  // When the masks change and to what sparsity; before this is called they stay as they are.
  void set_schedule(SparsitySchedule schedule) { schedule_ = std::move(schedule); }

  // Adds the present gradients to the scores; call when they are complete. A step with inf or NaN leaves the scores
  // alone: the trainer's `found_inf` ([] float on the device) says which; where it is not given the gradients are
  // looked at here.
  void accumulate(const at::Tensor& found_inf = {});
  // After optimizer step `step`: renews the masks when the schedule says so, and applies them to weights and moments.
  // Where `found_inf` is 1 the masks stay, and are renewed after the next step that is not left out. Throws (exit 1)
  // when all scores are zero or one is NaN.
  void after_step(int64_t step, const at::Tensor& found_inf = {});
  // Makes weights and moments zero again where they are masked: after weights were replaced from outside.
  void apply();

  // Share of pruned elements among the selected weights.
  double sparsity() const;
  std::vector<std::string> masked_names() const;
  // Masks and scores by name, for checkpoints; contents may be replaced in place.
  std::map<std::string, at::Tensor> state() const;
  // What a schedule needs to know: elements of the selected weights.
  int64_t selected_elements() const;

 private:
  struct Target {
    std::string name;
    at::Tensor weight;
    at::Tensor score;
    at::Tensor mask;  // uint8, 1 keeps
    std::vector<at::Tensor> moments;
  };

  void renew_masks(double sparsity);
  void select(std::span<Target> targets, double sparsity);

  PruneConfig config_;
  std::optional<SparsitySchedule> schedule_;
  kernels::Device device_;
  std::vector<Target> targets_;
  at::Tensor found_inf_;
  at::Tensor pending_;  // [] bool on the CPU: a renewal of the masks waits for a step that is not left out
};

}  // namespace pare
