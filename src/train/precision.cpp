#include "src/train/precision.hpp"

#include <ATen/autocast_mode.h>

namespace pare {

std::string resolve_precision(const std::string& precision, at::Device device) {
  if (precision != "auto") return precision;
  return device.is_cuda() ? "bf16" : "fp32";
}

AutocastScope::AutocastScope(const std::string& precision, at::DeviceType device)
    : active_(precision != "fp32"), device_(device) {
  if (!active_) return;
  at::autocast::set_autocast_dtype(device_, precision == "fp16" ? at::kHalf : at::kBFloat16);
  at::autocast::set_autocast_enabled(device_, true);
  at::autocast::increment_nesting();
}

AutocastScope::~AutocastScope() {
  if (!active_) return;
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(device_, false);
}

}  // namespace pare
