#include "src/core/threads.hpp"

#include <omp.h>

namespace pare {

int thread_count() { return omp_get_max_threads(); }

void set_threads(int n) { omp_set_num_threads(n); }

}  // namespace pare
