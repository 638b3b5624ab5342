// The best model that a training has passed, by its score on validation samples.
#pragma once

#include <limits>

#include "src/core/json.hpp"
#include "src/exec/aten.hpp"

namespace pare {

class BestModel {
 public:
  // `tensors`: everything that makes up a model at a moment (weights, statistics, masks), by name; they are read by
  // offer() and written by restore().
  explicit BestModel(std::map<std::string, at::Tensor> tensors);

  // Keeps a copy of the tensors when `score` is higher than any before.
  void offer(double score, int64_t step);
  // Whether anything was offered.
  bool kept() const { return step_ >= 0; }
  int64_t step() const { return step_; }
  double score() const { return score_; }
  // Offers since the best one.
  int64_t stale() const { return stale_; }
  // Copies the best back into the tensors. Only when kept().
  void restore() const;

  // For checkpoints: the copies by name, and the numbers.
  std::map<std::string, at::Tensor> state() const;
  Json numbers() const;
  void set_numbers(const Json& numbers);

 private:
  std::map<std::string, at::Tensor> tensors_;
  std::map<std::string, at::Tensor> copies_;
  double score_ = -std::numeric_limits<double>::infinity();
  int64_t step_ = -1;
  int64_t stale_ = 0;
};

}  // namespace pare
