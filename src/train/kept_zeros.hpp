// Zeros of earlier pruning, kept through a training.
#pragma once

#include <string>
#include <vector>

#include "src/train/optimizer.hpp"

namespace pare {

class KeptZeros {
 public:
  // The zeros that the weights of these names have now; other names are passed over.
  KeptZeros(const Parameters& parameters, const Optimizer& optimizer, const std::vector<std::string>& names);

  // To be called after every step: makes them zero again, and their moments.
  void apply();

 private:
  struct Mask {
    at::Tensor weight, kept;
    std::vector<at::Tensor> moments;
  };
  std::vector<Mask> masks_;
};

}  // namespace pare
