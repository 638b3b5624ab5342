#include "compress/sparsity_schedule.hpp"

#include <algorithm>

namespace pare {

bool SparsitySchedule::due(int64_t step) const {
  if (kind == "one-shot") return step == first_step;
  if (step < first_step || step > last_step) return false;
  return step == last_step || (step - first_step) % interval == 0;
}

double SparsitySchedule::at(int64_t step) const {
  if (step < first_step) return initial;
  if (kind == "one-shot" || step >= last_step) return target;
  const double left =
      1.0 - static_cast<double>(step - first_step) / static_cast<double>(std::max<int64_t>(1, last_step - first_step));
  return target + (initial - target) * left * left * left;
}

}  // namespace pare
