// The one way a .cu file fails. fmt and nvcc do not get along, so the message is made in a .cpp file.
#pragma once

namespace pare::kernels::cuda {

// Throws Error(failure): `what: CUDA failed (message)`.
[[noreturn]] void fail_cuda(const char* what, const char* message);

}  // namespace pare::kernels::cuda
