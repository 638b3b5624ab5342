#include "src/train/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace pare {

double LearningRate::at(int64_t step) const {
  if (step < warmup) return peak * static_cast<double>(step + 1) / static_cast<double>(warmup + 1);
  if (schedule == "constant") return peak;
  const double done = static_cast<double>(step - warmup) / static_cast<double>(std::max<int64_t>(1, steps - warmup));
  if (schedule == "step") return peak * (done < 0.5 ? 1.0 : done < 0.75 ? 0.1 : 0.01);
  return peak * 0.5 * (1 + std::cos(std::numbers::pi * done));
}

}  // namespace pare
