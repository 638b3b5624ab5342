// Adam (Kingma & Ba, 2015) for a tensor whose gradient is computed by hand.
#pragma once

#include "src/exec/aten.hpp"

namespace pare {

class Adam {
 public:
  // Moves `leaf`, fp32, which it shares.
  explicit Adam(at::Tensor leaf);

  // One update by a gradient of the leaf's shape. Betas 0.9 and 0.999.
  void step(const at::Tensor& gradient, double learning_rate);

  const at::Tensor& leaf() const { return leaf_; }

 private:
  at::Tensor leaf_, first_, second_;
  int64_t count_ = 0;
};

}  // namespace pare
