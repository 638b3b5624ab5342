#include "compress/structure_pruner.hpp"

#include <algorithm>

#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "src/exec/tensors.hpp"

namespace pare {

StructurePruner::StructurePruner(const Graph& graph, const ChannelGroups& groups, const Parameters& parameters,
                                 const Optimizer& optimizer, std::vector<bool> selected, WidthCost cost,
                                 StructureConfig config)
    : graph_(graph),
      groups_(groups),
      parameters_(parameters),
      selected_(std::move(selected)),
      cost_(std::move(cost)),
      config_(std::move(config)),
      removed_(at::zeros({static_cast<int64_t>(groups.units.size())}, at::kByte)),
      chosen_(at::zeros_like(removed_)),
      progress_(at::zeros({4}, at::kLong)) {
  if (config_.importance == "taylor" || config_.importance == "fisher")
    gradients_.emplace(parameters, config_.importance);
  std::map<std::string, std::vector<at::Tensor>> moments;
  for (const OptimizerState& state : optimizer.states()) moments[state.name] = state.moments;
  for (const Parameter& parameter : parameters.all()) {
    if (parameter.value == no_value) continue;
    const std::vector<Axis>& axes = groups.axes[static_cast<size_t>(parameter.value)];
    Site site{parameter.tensor.detach(), moments[parameter.name], {}};
    for (size_t k = 0; k < axes.size(); ++k)
      if (axes[k].labelled() && axes[k].zero) site.axes.emplace_back(static_cast<int64_t>(k), axes[k]);
    if (!site.axes.empty()) sites_.push_back(std::move(site));
  }
}

void StructurePruner::set_schedule(SparsitySchedule schedule) { schedule_ = std::move(schedule); }

void StructurePruner::after_backward() {
  if (gradients_ && !complete()) gradients_->add(config_.average);
}

GroupScores StructurePruner::scores() const {
  if (config_.importance == "random") return random_scores(groups_, config_.seed);
  const auto magnitudes = [this](ValueId id) -> std::optional<std::vector<double>> {
    const at::Tensor host = parameters_.tensor(id).detach().to(at::kCPU, at::kDouble).abs().contiguous();
    const double* data = host.const_data_ptr<double>();
    return std::vector<double>(data, data + host.numel());
  };
  const auto of_gradients = [this](ValueId id) { return gradients_->elements(id); };
  return group_scores(graph_, groups_, gradients_ ? ElementScores(of_gradients) : ElementScores(magnitudes),
                      config_.group_score);
}

Widths StructurePruner::left(const at::Tensor& gone) const {
  const uint8_t* units = gone.const_data_ptr<uint8_t>();
  Widths widths;
  for (const ChannelGroup& group : groups_.groups)
    widths.push_back(
        std::count_if(group.units.begin(), group.units.end(), [&](Unit unit) { return units[unit] == 0; }));
  return widths;
}

void StructurePruner::choose(int64_t step) {
  GroupScores ranks = scores();
  const uint8_t* gone = removed_.const_data_ptr<uint8_t>();
  // What went stays behind everything else, whatever its zeros tie with.
  for (size_t g = 0; g < ranks.size(); ++g)
    for (size_t i = 0; i < ranks[g].size(); ++i)
      if (gone[groups_.groups[g].units[i]] != 0) ranks[g][i] = -1;
  const double target = cost_(ChannelCost::full(groups_)) * (1 - schedule_->at(step)) * (1 + 1e-12);
  const Widths present = left(removed_);
  const ChannelChoice choice = choose_widths(groups_, ranks, selected_, config_.limits, cost_, target, &present);
  const RemovedUnits removed = removed_units(groups_, ranks, choice.widths);
  uint8_t* chosen = chosen_.mutable_data_ptr<uint8_t>();
  for (size_t unit = 0; unit < removed.size(); ++unit) chosen[unit] = removed[unit] && gone[unit] == 0 ? 1 : 0;
  int64_t next = step + 1;
  while (next < schedule_->last_step && !schedule_->due(next)) ++next;
  progress()[0] = step;
  progress()[1] = next;
  progress()[3] = choice.reached ? 1 : 0;
}

void StructurePruner::cut() {
  removed_.bitwise_or_(chosen_);
  chosen_.zero_();
}

template <class Change>
void StructurePruner::for_slices(const at::Tensor& gone, Change change) const {
  const uint8_t* units = gone.const_data_ptr<uint8_t>();
  for (const Site& site : sites_) {
    for (const auto& [dimension, axis] : site.axes) {
      std::vector<int64_t> indices;
      const auto labels = groups_.units.labels(axis);
      for (size_t i = 0; i < labels.size(); ++i)
        if (units[groups_.units.find(labels[i])] != 0) indices.push_back(static_cast<int64_t>(i));
      if (!indices.empty()) change(site, dimension, at::tensor(indices, at::kLong).to(site.weight.device()));
    }
  }
}

void StructurePruner::shrink_chosen(int64_t step, double learning_rate) {
  const double rise = static_cast<double>(step - progress()[0]) / static_cast<double>(progress()[1] - progress()[0]);
  const double factor = std::max(0.0, 1 - learning_rate * config_.penalty * std::min(1.0, rise));
  for_slices(chosen_, [&](const Site& site, int64_t dimension, const at::Tensor& indices) {
    site.weight.index_copy_(dimension, indices, site.weight.index_select(dimension, indices).mul_(factor));
  });
}

void StructurePruner::after_step(int64_t step, double learning_rate, bool left_out) {
  const c10::AutoGradMode no_grad(false);
  if (schedule_ && !complete()) {
    const bool due = schedule_->due(step), last = step >= schedule_->last_step;
    if (config_.penalty > 0 && !left_out && step > 0) shrink_chosen(step, learning_rate);
    if (due || last) cut();
    if (due) choose(step);
    if (last || config_.penalty == 0) cut();
    if (last) progress()[2] = 1;
  }
  apply();
}

void StructurePruner::apply() {
  const c10::AutoGradMode no_grad(false);
  for_slices(removed_, [](const Site& site, int64_t dimension, const at::Tensor& indices) {
    site.weight.index_fill_(dimension, indices, 0);
    for (const at::Tensor& moment : site.moments) moment.index_fill_(dimension, indices, 0);
  });
}

RemovedUnits StructurePruner::removed() const {
  const uint8_t* units = removed_.const_data_ptr<uint8_t>();
  return RemovedUnits(units, units + removed_.numel());
}

Widths StructurePruner::widths() const { return left(removed_); }

double StructurePruner::removed_share() const {
  const Widths now = widths();
  int64_t all = 0, gone = 0;
  for (size_t g = 0; g < now.size(); ++g) {
    if (!selected_[g]) continue;
    all += groups_.groups[g].size();
    gone += groups_.groups[g].size() - now[g];
  }
  return all == 0 ? 0 : static_cast<double>(gone) / static_cast<double>(all);
}

std::map<std::string, at::Tensor> StructurePruner::state() const {
  std::map<std::string, at::Tensor> state = {
      {"structure/removed", removed_}, {"structure/chosen", chosen_}, {"structure/progress", progress_}};
  if (gradients_) state.merge(gradients_->state());
  return state;
}

}  // namespace pare
