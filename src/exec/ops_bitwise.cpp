// Operators on the bits of integers.
#include <ATen/ops/bitwise_and.h>
#include <ATen/ops/bitwise_left_shift.h>
#include <ATen/ops/bitwise_not.h>
#include <ATen/ops/bitwise_or.h>
#include <ATen/ops/bitwise_right_shift.h>
#include <ATen/ops/bitwise_xor.h>

#include "src/core/error.hpp"
#include "src/exec/ops.hpp"

namespace pare::ops {

Step bitwise_and(const Site&) {
  return [](const Call& call) { call.out[0] = at::bitwise_and(call.in[0], call.in[1]); };
}

Step bitwise_or(const Site&) {
  return [](const Call& call) { call.out[0] = at::bitwise_or(call.in[0], call.in[1]); };
}

Step bitwise_xor(const Site&) {
  return [](const Call& call) { call.out[0] = at::bitwise_xor(call.in[0], call.in[1]); };
}

Step bitwise_not(const Site&) {
  return [](const Call& call) { call.out[0] = at::bitwise_not(call.in[0]); };
}

Step bit_shift(const Site& site) {
  const std::string direction = site.node.text("direction", "");
  if (direction != "LEFT" && direction != "RIGHT")
    fail_input("{}: direction is '{}' (expected LEFT or RIGHT)", site.node.label(), direction);
  return [left = direction == "LEFT"](const Call& call) {
    call.out[0] =
        left ? at::bitwise_left_shift(call.in[0], call.in[1]) : at::bitwise_right_shift(call.in[0], call.in[1]);
  };
}

}  // namespace pare::ops
