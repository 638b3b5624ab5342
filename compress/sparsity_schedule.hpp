// How sparsity rises over the steps of a training.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pare {

// With d the share that is kept, and t from 0 at the first step to 1 at the last:
//   one-shot     at the first step
//   linear       s rises evenly
//   cubic        s = target + (initial - target) (1 - t)^3 (Zhu & Gupta, To prune, or not to prune, 2017)
//   exponential  every step keeps the same share of what is left: d = d0 (d1 / d0)^t
//   iterative:N  N prunings evenly spaced, each keeping the same share of what is left (Han et al., Learning both
//                Weights and Connections, 2015; Frankle & Carbin, The Lottery Ticket Hypothesis, 2019)
struct SparsitySchedule {
  std::string kind = "cubic";  // without the ":N"
  double initial = 0;
  double target = 0;
  int64_t first_step = 0;  // scores are gathered before; one-shot prunes here
  int64_t last_step = 0;   // the target is reached
  int64_t interval = 1;    // steps between two changes of the masks
  int64_t rounds = 1;      // of iterative

  // Whether the masks change after step `step` (0-based) is done. With `exchange` (regrowth) also where the sparsity
  // stays as it is: at every interval up to the last step.
  bool due(int64_t step, bool exchange = false) const;
  // The sparsity that holds after step `step`.
  double at(int64_t step) const;
  // From 0 at the first step to 1 at the last.
  double progress(int64_t step) const;

 private:
  int64_t round_of(int64_t step) const;
};

// "cubic", "iterative:5"...: sets kind and rounds. Throws (exit 2) naming what is expected.
SparsitySchedule parse_schedule(std::string_view text);

}  // namespace pare
