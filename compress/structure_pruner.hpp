// Channels or heads that become zero in rounds while a model trains, to be cut out of the graph afterwards: scores,
// rounds, and a penalty that shrinks what goes before it goes.
#pragma once

#include "compress/channel_scores.hpp"
#include "compress/gradient_scores.hpp"
#include "compress/sparsity_schedule.hpp"
#include "src/train/optimizer.hpp"

namespace pare {

struct StructureConfig {
  std::string importance = "magnitude";  // magnitude | taylor | fisher | random
  double average = 0.99;                 // decay of the moving average of gradient scores; 1: their sum
  GroupScore group_score = GroupScore::sum;
  ChannelLimits limits;
  // A decay of what the next round removes, which rises from 0 to this until then: w shrinks by learning rate times
  // decay times w in every step. GReg (Wang et al., Neural Pruning via Growing Regularization, 2021) in the decoupled
  // form of AdamW (Loshchilov & Hutter 2019), so that it means the same with every optimizer. 0: none.
  double penalty = 0;
  uint64_t seed = 0;  // of random
};

class StructurePruner {
 public:
  // `groups` are of `graph`, whose constants `parameters` holds; `selected`: groups that may lose units. `cost` falls
  // from that of all widths to the share that the schedule keeps. All are used as long as this lives.
  StructurePruner(const Graph& graph, const ChannelGroups& groups, const Parameters& parameters,
                  const Optimizer& optimizer, std::vector<bool> selected, WidthCost cost, StructureConfig config);

  // When units go, and what share of the cost by then. With a penalty a round chooses when it is due, and cuts at the
  // next one, the last at the schedule's end.
  void set_schedule(SparsitySchedule schedule);

  // Adds the present gradients to the scores; a step with inf or NaN leaves them alone.
  void after_backward();
  // After optimizer step `step` (0-based): shrinks what is to go unless the step was left out, holds the round that is
  // due, and makes everything removed zero. Throws as group_scores() does.
  void after_step(int64_t step, double learning_rate, bool left_out);
  // Makes what is removed zero, moments too: after weights were replaced.
  void apply();

  // By representative unit.
  RemovedUnits removed() const;
  Widths widths() const;
  // Whether the last round was held, and whether it met the target.
  bool complete() const { return progress()[2] != 0; }
  bool reached() const { return progress()[3] != 0; }
  // Share of the selected groups' units.
  double removed_share() const;
  // Units, rounds and scores by name, for checkpoints; contents may be replaced in place.
  std::map<std::string, at::Tensor> state() const;

 private:
  // A trained constant that loses slices, its moments, and the axes that they lie on.
  struct Site {
    at::Tensor weight;
    std::vector<at::Tensor> moments;
    std::vector<std::pair<int64_t, Axis>> axes;
  };

  GroupScores scores() const;
  void choose(int64_t step);
  void cut();
  void shrink_chosen(int64_t step, double learning_rate);
  Widths left(const at::Tensor& gone) const;
  // Calls change(site, dimension, indices) for every axis with units of `gone`.
  template <class Change>
  void for_slices(const at::Tensor& gone, Change change) const;
  // Steps of the choice and of its cut; then complete and reached, 0 or 1.
  int64_t* progress() const { return progress_.mutable_data_ptr<int64_t>(); }

  const Graph& graph_;
  const ChannelGroups& groups_;
  const Parameters& parameters_;
  std::vector<bool> selected_;
  WidthCost cost_;
  StructureConfig config_;
  std::optional<GradientScores> gradients_;
  std::optional<SparsitySchedule> schedule_;
  std::vector<Site> sites_;
  at::Tensor removed_;   // [units] uint8 on the CPU
  at::Tensor chosen_;    // the same: what goes at the next cut
  at::Tensor progress_;  // [4] int64 on the CPU
};

}  // namespace pare
