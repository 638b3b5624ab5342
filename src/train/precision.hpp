// Mixed precision: inside the scope, ATen's autocast runs convolutions and matrix products in 16 bits; weights stay
// fp32.
#pragma once

#include "src/exec/aten.hpp"

namespace pare {

// What --precision auto means on a device: fp32 on CPU, bf16 on GPUs that have it.
std::string resolve_precision(const std::string& precision, at::Device device);

class AutocastScope {
 public:
  // `precision`: fp32 (no effect), bf16 or fp16.
  AutocastScope(const std::string& precision, at::DeviceType device);
  ~AutocastScope();
  AutocastScope(const AutocastScope&) = delete;
  AutocastScope& operator=(const AutocastScope&) = delete;

 private:
  bool active_;
  at::DeviceType device_;
};

}  // namespace pare
