// Recurrent layers, step by step over the sequence; all of them differentiable through their steps.
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include "src/core/error.hpp"
#include "src/exec/lstm_steps.hpp"
#include "src/exec/ops.hpp"
#include "src/exec/quantize.hpp"

namespace pare::ops {
namespace {

// What carries over from step to step; `cell` is the LSTM's.
struct State {
  at::Tensor hidden;  // [batch, H]
  at::Tensor cell;    // [batch, H]
};

// One direction's weights; undefined where the node leaves them out.
struct Weights {
  at::Tensor input;      // W [gates * H, in]
  at::Tensor recurrent;  // R [gates * H, H]
  at::Tensor bias;       // W's then R's, [2 * gates * H]
  at::Tensor peephole;   // [3 * H]
  bool integer = false;  // what they multiply is quantized first, as DynamicQuantizeLinear does
};

// The next state from x W^T + bias of W of one step [batch, gates * H], and the present state.
using Cell = std::function<State(const at::Tensor& projected, const State& state, const Weights& weights)>;

struct Layer {
  Cell cell;
  bool has_cell = false;
  bool batch_first = false;
  bool integer = false;  // of the weights
  std::string direction = "forward";
};

at::Tensor half_of(const at::Tensor& bias, int64_t half) { return bias.chunk(2)[static_cast<size_t>(half)]; }

at::Tensor optional_input(const Call& call, size_t index) {
  return index < call.in.size() ? call.in[index] : at::Tensor();
}

// What the weights see of an operand.
at::Tensor seen_by(const Weights& weights, const at::Tensor& x) {
  if (!weights.integer) return x;
  const Quantized codes = quantize_dynamically(x);
  return dequantize(codes.values, codes.scale, codes.zero_point, {});
}

at::Tensor recurrent_part(const State& state, const Weights& weights) {
  const at::Tensor product = at::matmul(seen_by(weights, state.hidden), weights.recurrent.t());
  return weights.bias.defined() ? product.add(half_of(weights.bias, 1)) : product;
}

// Gates in the order input, output, forget, cell (ONNX operator LSTM).
State lstm_cell(const at::Tensor& projected, const State& state, const Weights& weights) {
  const auto gates = projected.add(recurrent_part(state, weights)).chunk(4, 1);
  const auto peepholes = weights.peephole.defined() ? weights.peephole.chunk(3) : std::vector<at::Tensor>();
  const auto gate = [&](size_t index, const at::Tensor& cell) {
    return at::sigmoid(peepholes.empty() ? gates[index] : gates[index].add(peepholes[index].mul(cell)));
  };
  const at::Tensor cell = gate(2, state.cell).mul(state.cell).add(gate(0, state.cell).mul(at::tanh(gates[3])));
  return {gate(1, cell).mul(at::tanh(cell)), cell};
}

// Gates in the order update, reset, hidden (ONNX operator GRU).
State gru_cell(const at::Tensor& projected, const State& state, const Weights& weights, bool linear_before_reset) {
  const auto x = projected.chunk(3, 1);
  const auto r = weights.recurrent.chunk(3);
  const auto bias = weights.bias.defined() ? half_of(weights.bias, 1).chunk(3) : std::vector<at::Tensor>();
  const auto product = [&](const at::Tensor& hidden, size_t gate) {
    const at::Tensor plain = at::matmul(hidden, r[gate].t());
    return bias.empty() ? plain : plain.add(bias[gate]);
  };
  const at::Tensor update = at::sigmoid(x[0].add(product(state.hidden, 0)));
  const at::Tensor reset = at::sigmoid(x[1].add(product(state.hidden, 1)));
  const at::Tensor inner =
      linear_before_reset ? reset.mul(product(state.hidden, 2)) : product(reset.mul(state.hidden), 2);
  const at::Tensor candidate = at::tanh(x[2].add(inner));
  return {candidate.add(update.mul(state.hidden.sub(candidate))), {}};
}

State rnn_cell(const at::Tensor& projected, const State& state, const Weights& weights) {
  return {at::tanh(projected.add(recurrent_part(state, weights))), {}};
}

struct Sequence {
  at::Tensor steps;  // [time, batch, H]
  State last;
};

bool is_plain(const at::Tensor& tensor, at::IntArrayRef sizes) {
  return tensor.scalar_type() == at::kFloat && tensor.device().is_cpu() && tensor.sizes() == sizes;
}

// Whether run_lstm_steps, which takes sizes and types as given, does what the layer asks for. What does not fit is left
// to ATen's operators, which refuse it or broadcast.
bool runs_as_steps(const Layer& layer, const at::Tensor& projected, const State& state, const Weights& weights,
                   const at::Tensor& lengths) {
  if (!layer.has_cell || layer.integer || weights.peephole.defined() || lengths.defined() ||
      c10::GradMode::is_enabled())
    return false;
  const int64_t batch = projected.size(1), size = weights.recurrent.size(1);
  return projected.size(0) > 0 && is_plain(projected, {projected.size(0), batch, 4 * size}) &&
         is_plain(weights.recurrent, {4 * size, size}) && is_plain(state.hidden, {batch, size}) &&
         is_plain(state.cell, {batch, size}) && (!weights.bias.defined() || is_plain(weights.bias, {8 * size}));
}

Sequence run_steps(const at::Tensor& projected, const State& start, const Weights& weights, bool reverse) {
  const at::Tensor first = (weights.bias.defined() ? projected.add(half_of(weights.bias, 1)) : projected).contiguous();
  const at::Tensor recurrent = weights.recurrent.contiguous(), hidden = start.hidden.contiguous();
  const at::Tensor cell = start.cell.clone(at::MemoryFormat::Contiguous);
  const int64_t time = first.size(0), batch = first.size(1), size = recurrent.size(1);
  const at::Tensor outputs = at::empty({time, batch, size}, first.options());
  run_lstm_steps({time, batch, size, first.const_data_ptr<float>(), recurrent.const_data_ptr<float>(),
                  hidden.const_data_ptr<float>(), cell.mutable_data_ptr<float>(), outputs.mutable_data_ptr<float>(),
                  reverse});
  return {outputs, {outputs[reverse ? 0 : time - 1], cell}};
}

// Runs one direction over x [time, batch, in]. Beyond a sample's length the state stays and the output is zero.
Sequence run_direction(const Layer& layer, const at::Tensor& x, State state, const Weights& weights,
                       const at::Tensor& lengths, bool reverse) {
  at::Tensor projected = at::matmul(seen_by(weights, x), weights.input.t());
  if (weights.bias.defined()) projected = projected.add(half_of(weights.bias, 0));
  if (runs_as_steps(layer, projected, state, weights, lengths)) return run_steps(projected, state, weights, reverse);
  const int64_t time = x.size(0);
  std::vector<at::Tensor> outputs(static_cast<size_t>(time));
  for (int64_t i = 0; i < time; ++i) {
    const int64_t t = reverse ? time - 1 - i : i;
    State next = layer.cell(projected[t], state, weights);
    at::Tensor output = next.hidden;
    if (lengths.defined()) {
      const at::Tensor inside = lengths.gt(t).unsqueeze(1);
      output = at::where(inside, next.hidden, at::zeros({}, next.hidden.options()));
      next.hidden = at::where(inside, next.hidden, state.hidden);
      if (layer.has_cell) next.cell = at::where(inside, next.cell, state.cell);
    }
    outputs[static_cast<size_t>(t)] = output;
    state = next;
  }
  return {at::stack(outputs), state};
}

void run_layer(const Layer& layer, const Call& call) {
  const at::Tensor x = layer.batch_first ? call.in[0].transpose(0, 1) : call.in[0];
  const int64_t directions = call.in[1].size(0);
  const int64_t hidden = call.in[2].size(2);
  const auto initial = [&](size_t input, int64_t direction) {
    const at::Tensor given = optional_input(call, input);
    if (!given.defined()) return at::zeros({x.size(1), hidden}, x.options());
    return layer.batch_first ? given.select(1, direction) : given[direction];
  };
  const auto part = [&](size_t input, int64_t direction) {
    const at::Tensor given = optional_input(call, input);
    return given.defined() ? given[direction] : at::Tensor();
  };
  std::vector<at::Tensor> steps, last_hidden, last_cell;
  for (int64_t d = 0; d < directions; ++d) {
    const Weights weights{call.in[1][d], call.in[2][d], part(3, d), layer.has_cell ? part(7, d) : at::Tensor(),
                          layer.integer};
    const State start{initial(5, d), layer.has_cell ? initial(6, d) : at::Tensor()};
    const Sequence sequence =
        run_direction(layer, x, start, weights, optional_input(call, 4), layer.direction == "reverse" || d == 1);
    steps.push_back(sequence.steps);
    last_hidden.push_back(sequence.last.hidden);
    if (layer.has_cell) last_cell.push_back(sequence.last.cell);
  }
  // [time, directions, batch, H] and [directions, batch, H]; with the batch first, [batch, time, directions, H] and
  // [batch, directions, H].
  const at::Tensor all = at::stack(steps, 1);
  const int64_t at_direction = layer.batch_first ? 1 : 0;
  call.out[0] = layer.batch_first ? all.permute({2, 0, 1, 3}) : all;
  if (call.out.size() > 1) call.out[1] = at::stack(last_hidden, at_direction);
  if (call.out.size() > 2 && layer.has_cell) call.out[2] = at::stack(last_cell, at_direction);
}

// Refuses forms beyond the default activations.
Layer layer_of(const Site& site, bool has_cell, const std::vector<std::string>& activations) {
  const auto found = site.node.attributes.find("activations");
  if (found != site.node.attributes.end()) {
    const auto* given = std::get_if<std::vector<std::string>>(&found->second);
    for (size_t i = 0; given != nullptr && i < given->size(); ++i)
      if ((*given)[i] != activations[i % activations.size()])
        fail_input("{}: activation '{}' is not supported (expected {})", site.node.label(), (*given)[i],
                   activations[i % activations.size()]);
  }
  for (const char* unsupported : {"clip", "input_forget"})
    if (site.node.has(unsupported) &&
        !(std::string(unsupported) == "input_forget" && site.node.integer(unsupported, 0) == 0))
      fail_input("{}: attribute '{}' is not supported", site.node.label(), unsupported);
  Layer layer;
  layer.has_cell = has_cell;
  layer.batch_first = site.node.integer("layout", 0) == 1;
  layer.direction = site.node.text("direction", "forward");
  return layer;
}

Step step_of(Layer layer) {
  return [layer = std::move(layer)](const Call& call) { run_layer(layer, call); };
}

}  // namespace

Step lstm(const Site& site) {
  Layer layer = layer_of(site, true, {"Sigmoid", "Tanh", "Tanh"});
  layer.cell = lstm_cell;
  return step_of(std::move(layer));
}

// Of com.microsoft, as quantize_dynamic writes it: LSTM's inputs with W [directions, input, 4 * H] and
// R [directions, H, 4 * H] as integers, then their scales and zero points, a number or a row of 4 * H a direction. Each
// product's other operand is quantized as it comes: the whole sequence once, the state step by step.
Step dynamic_quantize_lstm(const Site& site) {
  Layer layer = layer_of(site, true, {"Sigmoid", "Tanh", "Tanh"});
  layer.cell = lstm_cell;
  layer.integer = true;
  return [layer = std::move(layer)](const Call& call) {
    const auto weight = [&](size_t index, size_t scale) {
      const auto beside = [&](const at::Tensor& parameter) {  // [directions, 1, 1 or 4 * H]
        return parameter.to(at::kFloat).reshape({call.in[index].size(0), 1, -1});
      };
      const at::Tensor codes = call.in[index].to(at::kFloat).sub(beside(call.in[scale + 1]));
      return codes.mul(beside(call.in[scale])).transpose(1, 2);
    };
    std::vector<at::Tensor> in(call.in.begin(), call.in.begin() + 8);
    in[1] = weight(1, 8);
    in[2] = weight(2, 10);
    run_layer(layer, {in, call.out, call.training});
  };
}

Step gru(const Site& site) {
  Layer layer = layer_of(site, false, {"Sigmoid", "Tanh"});
  layer.cell = [linear = site.node.integer("linear_before_reset", 0) != 0](const at::Tensor& projected,
                                                                           const State& state, const Weights& weights) {
    return gru_cell(projected, state, weights, linear);
  };
  return step_of(std::move(layer));
}

Step rnn(const Site& site) {
  Layer layer = layer_of(site, false, {"Tanh"});
  layer.cell = rnn_cell;
  return step_of(std::move(layer));
}

}  // namespace pare::ops
