// Learning rates as pure functions of the step.
#pragma once

#include <cstdint>
#include <string>

namespace pare {

struct LearningRate {
  double peak = 1e-3;
  std::string schedule = "cosine";  // cosine | step | constant
  int64_t warmup = 0;               // steps over which the rate rises linearly to `peak`
  int64_t steps = 1;                // of the whole training

  // The rate of step 0 .. steps-1. cosine: to 0 (Loshchilov & Hutter, SGDR, 2017); step: a tenth after 1/2 and again
  // after 3/4.
  double at(int64_t step) const;
};

}  // namespace pare
