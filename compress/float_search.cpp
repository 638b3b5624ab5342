#include "compress/float_search.hpp"

namespace pare {

FloatSearch search_floats(size_t first, size_t last, double most, int evaluations,
                          const std::function<double(size_t floats)>& drop_of) {
  FloatSearch best{first, drop_of(first), false};
  best.met = best.drop <= most;
  size_t failed = first;
  for (int asked = 1; !(best.met && best.floats == first) && asked < evaluations && last > failed + 1; ++asked) {
    const size_t middle = failed + (last - failed) / 2;
    const double drop = drop_of(middle);
    if (drop <= most) {
      best = {middle, drop, true};
      last = middle;
      continue;
    }
    failed = middle;
    if (!best.met && drop < best.drop) best = {middle, drop, false};
  }
  return best;
}

}  // namespace pare
