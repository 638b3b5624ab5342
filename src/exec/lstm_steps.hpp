// The steps of an LSTM layer without gradients: a product of each step's few rows with weights that never change.
#pragma once

#include <cstdint>

namespace pare {

// One direction of the ONNX operator LSTM with its default activations, in float32 on the CPU, C-contiguous.
struct LstmSteps {
  int64_t time, batch, hidden;
  const float* projected;  // [time, batch, 4 * hidden]: x W^T and both biases; gates input, output, forget, cell
  const float* recurrent;  // [4 * hidden, hidden]
  const float* start;      // [batch, hidden]: the hidden state before the first step
  float* cell;             // [batch, hidden]: the cell state before the first step; left as it is after the last one
  float* outputs;          // [time, batch, hidden]: the hidden states
  bool reverse;            // from the last step to the first
};

// Fills `outputs`. Every thread keeps the same rows of `recurrent` through all steps, so that they stay in its cache;
// the result does not depend on the number of threads.
void run_lstm_steps(const LstmSteps& steps);

}  // namespace pare
