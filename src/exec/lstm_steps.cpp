#include "src/exec/lstm_steps.hpp"

#include <cmath>

#include "kernels/device.hpp"
#include "src/core/threads.hpp"

namespace pare {
namespace {

constexpr int lanes = 16;
constexpr int gates = 4;

// Of one hidden unit, input, output, forget and cell.
struct Gates {
  float sums[gates];
};

// The products of a unit's four rows, `stride` floats apart, with the hidden state.
PARE_SIMD Gates multiply(const float* rows, int64_t stride, const float* hidden, int64_t size) {
  float sums[gates][lanes] = {};
  int64_t i = 0;
  for (; i + lanes <= size; i += lanes)
    for (int gate = 0; gate < gates; ++gate)
      for (int lane = 0; lane < lanes; ++lane) sums[gate][lane] += rows[gate * stride + i + lane] * hidden[i + lane];
  for (int lane = 0; i + lane < size; ++lane)
    for (int gate = 0; gate < gates; ++gate) sums[gate][lane] += rows[gate * stride + i + lane] * hidden[i + lane];
  Gates result;
  for (int gate = 0; gate < gates; ++gate) {
    for (int width = lanes / 2; width > 0; width /= 2)
      for (int lane = 0; lane < width; ++lane) sums[gate][lane] += sums[gate][lane + width];
    result.sums[gate] = sums[gate][0];
  }
  return result;
}

float sigmoid(float x) { return 1.0F / (1.0F + std::exp(-x)); }

// To 1e-7 of 1; std::tanh, exact for small numbers too, takes four times as long.
float tanh_of(float x) { return 1.0F - 2.0F / (1.0F + std::exp(2.0F * x)); }

}  // namespace

void run_lstm_steps(const LstmSteps& steps) {
  const int64_t size = steps.hidden;
  const int64_t state = steps.batch * size;
  const float* hidden = steps.start;
  for (int64_t i = 0; i < steps.time; ++i) {
    const int64_t t = steps.reverse ? steps.time - 1 - i : i;
    float* next = steps.outputs + t * state;
    parallel_for(0, size, lanes, [&](int64_t first, int64_t last) {
      for (int64_t unit = first; unit < last; ++unit)
        for (int64_t row = 0; row < steps.batch; ++row) {
          const float* projected = steps.projected + (t * steps.batch + row) * gates * size + unit;
          const Gates sum = multiply(steps.recurrent + unit * size, size * size, hidden + row * size, size);
          const auto gate = [&](int index) { return projected[index * size] + sum.sums[index]; };
          float& cell = steps.cell[row * size + unit];
          cell = sigmoid(gate(2)) * cell + sigmoid(gate(0)) * tanh_of(gate(3));
          next[row * size + unit] = sigmoid(gate(1)) * tanh_of(cell);
        }
    });
    hidden = next;
  }
}

}  // namespace pare
