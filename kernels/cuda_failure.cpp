#include "kernels/cuda_failure.hpp"

#include "src/core/error.hpp"

namespace pare::kernels::cuda {

void fail_cuda(const char* what, const char* message) {
  fail_run("{}: CUDA failed ({}); see `pare doctor`", what, message);
}

}  // namespace pare::kernels::cuda
