#include "src/train/best_model.hpp"

namespace pare {

BestModel::BestModel(std::map<std::string, at::Tensor> tensors) : tensors_(std::move(tensors)) {
  for (const auto& [name, tensor] : tensors_) copies_.emplace(name, tensor.detach().clone());
}

void BestModel::offer(double score, int64_t step) {
  // A score that is not a number is never the best.
  if (!(score > score_)) {
    ++stale_;
    return;
  }
  const c10::AutoGradMode no_grad(false);
  for (auto& [name, copy] : copies_) copy.copy_(tensors_.at(name));
  score_ = score;
  step_ = step;
  stale_ = 0;
}

void BestModel::restore() const {
  const c10::AutoGradMode no_grad(false);
  for (const auto& [name, tensor] : tensors_) at::Tensor(tensor.detach()).copy_(copies_.at(name));
}

std::map<std::string, at::Tensor> BestModel::state() const {
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [name, copy] : copies_) tensors.emplace("best/" + name, copy);
  return tensors;
}

Json BestModel::numbers() const {
  if (!kept()) return {{"stale", stale_}};
  return {{"stale", stale_}, {"step", step_}, {"score", score_}};
}

void BestModel::set_numbers(const Json& numbers) {
  stale_ = numbers.at("stale").get<int64_t>();
  if (!numbers.contains("step")) return;
  step_ = numbers.at("step").get<int64_t>();
  score_ = numbers.at("score").get<double>();
}

}  // namespace pare
