// Masks of single weights and patterns while a model trains, or once without training: scores, selection, zeros that
// stay zero, regrowth.
#pragma once

#include "compress/importance.hpp"
#include "compress/mask_selection.hpp"
#include "compress/sparsity_schedule.hpp"
#include "src/exec/parameters.hpp"
#include "src/train/optimizer.hpp"

namespace pare {

enum class Regrow {
  gradient,  // where the gradient of a pruned weight is largest, from zero (Evci et al., Rigging the Lottery, 2020)
  splice     // where the dense weight, which trains on behind the mask, has the largest score; with the value that it
             // has by then (Guo et al., Dynamic Network Surgery, 2016)
};

struct PruneConfig {
  ImportanceMethod method = find_importance("taylor");
  double average = 0.99;  // decay of the moving average of gradient scores, in [0, 1]; 1: the sum of all steps
  Pattern pattern;
  std::string scope = "global";  // global: one ranking of all; layer: the same share of each; erk: allocation.hpp
  double regrow = 0;  // share of the kept weights exchanged at the first change of the masks; falls to 0 with a cosine
  Regrow regrow_by = Regrow::gradient;
  uint64_t seed = 0;  // of random
};

class Pruner {
 public:
  // Prunes the weights whose names `selected` accepts. Weights that are zero already and named in `masked` stay zero.
  // `optimizer` may be null when nothing trains. Throws exit 2 when nothing is selected, exit 3 naming a weight that
  // holds NaN or infinity, or is shared between layers that a pattern would have to follow in two directions.
  Pruner(const Graph& graph, const Parameters& parameters, const Optimizer* optimizer, PruneConfig config,
         const std::function<bool(const std::string&)>& selected, const std::vector<std::string>& masked);

  // When the masks change and to what sparsity; before this is called they stay as they are.
  void set_schedule(SparsitySchedule schedule) { schedule_ = std::move(schedule); }
  // Of wanda: by weight, the norm of what each element multiplies, of a shape that broadcasts to the weight's. Weights
  // without one are an error (exit 3) when they are scored.
  void set_input_norms(const std::map<std::string, at::Tensor>& norms);

  // Adds the present gradients to the scores; call when they are complete. A step with inf or NaN leaves the scores
  // alone: the trainer's `found_inf` ([] float on the device) says which; where it is not given the gradients are
  // looked at here. Regrowth by splicing puts the dense weights back, so that the optimizer's step moves them.
  void after_backward(const at::Tensor& found_inf = {});
  // After optimizer step `step`: renews the masks when the schedule says so, and applies them to weights and moments.
  // Where `found_inf` is 1 the masks stay, and are renewed after the next step that is not left out.
  void after_step(int64_t step, const at::Tensor& found_inf = {});
  // Renews the masks to a sparsity at once, and applies them. Throws (exit 1) naming the weight when a score is NaN or
  // every gradient so far held inf or NaN, and when all scores of what is ranked together are zero.
  void prune(double sparsity);
  // The masks by weight (uint8, 1 keeps), for a choice made elsewhere: they may be written, and hold once apply() was
  // called.
  std::map<std::string, at::Tensor> masks() const;
  // Makes weights and moments zero where they are masked: after masks were written or weights were replaced.
  void apply();

  // Share of pruned elements among the selected weights.
  double sparsity() const;
  // Share of what the pattern prunes as one: of blocks, else of weights.
  double pruned_share() const;
  // Selected weights that have become zero altogether.
  std::vector<std::string> emptied() const;
  std::vector<std::string> names() const;
  // Masks, scores and dense weights by name, for checkpoints; contents may be replaced in place.
  std::map<std::string, at::Tensor> state() const;
  // What a schedule needs to know: elements of the selected weights.
  int64_t selected_elements() const;
  // What is pruned as one: blocks, else elements.
  int64_t selected_units() const;

 private:
  struct Target {
    RankedWeight ranked;  // its score is accumulated for gradient methods, else computed when masks are renewed
    at::Tensor weight;
    at::Tensor dense;  // of splicing: the weight behind the mask
    at::Tensor norms;
    std::vector<at::Tensor> moments;
  };

  void check_scores() const;
  void score();
  void renew_masks(double sparsity, double progress);
  void select(std::span<RankedWeight> ranked, double sparsity);
  void regrow(std::span<RankedWeight> ranked, std::span<const Target> targets, double progress);
  bool splices() const { return config_.regrow > 0 && config_.regrow_by == Regrow::splice; }
  bool needs_gradients() const { return config_.method.source == ScoreSource::gradients; }

  PruneConfig config_;
  std::optional<SparsitySchedule> schedule_;
  kernels::Device device_;
  std::vector<Target> targets_;
  at::Tensor found_inf_;
  at::Tensor skipped_;  // steps whose gradients held inf or NaN
  int64_t scored_ = 0;  // steps seen
  at::Tensor pending_;  // [] bool on the CPU: a renewal of the masks waits for a step that is not left out
};

}  // namespace pare
