// How sparsity rises over the steps of a training.
#pragma once

#include <cstdint>
#include <string>

namespace pare {

struct SparsitySchedule {
  std::string kind = "cubic";  // one-shot | cubic (Zhu & Gupta, To prune, or not to prune, 2017)
  double initial = 0;
  double target = 0;
  int64_t first_step = 0;  // scores are gathered before; one-shot prunes here
  int64_t last_step = 0;   // the target is reached
  int64_t interval = 1;    // steps between two changes of the masks

  // Whether the masks change after step `step` (0-based) is done.
  bool due(int64_t step) const;
  // The sparsity that holds after step `step`.
  double at(int64_t step) const;
};

}  // namespace pare
