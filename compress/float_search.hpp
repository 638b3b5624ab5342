// How many of the most sensitive values must stay float for a model to lose no more than it may.
#pragma once

#include <cstddef>
#include <functional>

namespace pare {

struct FloatSearch {
  size_t floats = 0;  // of the ranking's first values
  double drop = 0;    // what the model loses with them
  bool met = false;
};

// Bisects between `first` floats and `last`, at which the model is all float and loses nothing; `drop_of` is asked at
// most `evaluations` times (1 or more). Returns the fewest floats that met `most`, or where none did those with the
// least drop.
FloatSearch search_floats(size_t first, size_t last, double most, int evaluations,
                          const std::function<double(size_t floats)>& drop_of);

}  // namespace pare
