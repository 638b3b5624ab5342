// How channels pass through each operator, and what of a node changes when some are removed. The table is in
// channel_rules.cpp, the rules by kind of operator in channel_rules_*.cpp.
#pragma once

#include <string_view>

#include "compress/channel_flow.hpp"

namespace pare {

struct ChannelRule {
  const char* op;
  // Reads the axes of the present node's inputs, and sets those of its outputs.
  void (*apply)(ChannelFlow&);
};

// The rule of an operator, or null: then it is a barrier, all channels of its inputs stay.
const ChannelRule* find_channel_rule(std::string_view domain, std::string_view op);

namespace channel_rules {

// Whether whole groups of a convolution go (they are many and narrow: depthwise, ResNeXt), else all become narrower
// alike. `width`: input channels of a group.
inline bool whole_groups(int64_t groups, int64_t width) { return groups >= width; }

// When the output is zero at a masked channel.
enum class Zero {
  never,
  all,    // when all inputs are: Add, Max, and functions of one input with f(0) = 0
  any,    // when one of them is: Mul
  first,  // when the first is: Div, Pow
};

// Numpy broadcasting of all inputs; `zero` looks at those from `values` on.
void broadcast(ChannelFlow& flow, Zero zero, size_t values = 0);
template <Zero zero>
void pointwise(ChannelFlow& flow) {
  broadcast(flow, zero);
}
void clip(ChannelFlow& flow);
void div(ChannelFlow& flow);
void singular(ChannelFlow& flow);
void where(ChannelFlow& flow);
void pow(ChannelFlow& flow);
void cast(ChannelFlow& flow);

void conv(ChannelFlow& flow);
void conv_transpose(ChannelFlow& flow);
void gemm(ChannelFlow& flow);
void matmul(ChannelFlow& flow);
void einsum(ChannelFlow& flow);
void lstm(ChannelFlow& flow);
void gru(ChannelFlow& flow);
void rnn(ChannelFlow& flow);

void batch_normalization(ChannelFlow& flow);
void instance_normalization(ChannelFlow& flow);
void group_normalization(ChannelFlow& flow);
void layer_normalization(ChannelFlow& flow);
void along_axis(ChannelFlow& flow);
void cumulative(ChannelFlow& flow);
void arg(ChannelFlow& flow);
void reduce_zero(ChannelFlow& flow);
void reduce(ChannelFlow& flow);
void pool(ChannelFlow& flow);
void quantize(ChannelFlow& flow);
void trilu(ChannelFlow& flow);

void reshape(ChannelFlow& flow);
void transpose(ChannelFlow& flow);
void expand(ChannelFlow& flow);
void tile(ChannelFlow& flow);
void constant_of_shape(ChannelFlow& flow);
void shape(ChannelFlow& flow);
void depth_to_space(ChannelFlow& flow);
void space_to_depth(ChannelFlow& flow);
void resize(ChannelFlow& flow);

void concat(ChannelFlow& flow);
void split(ChannelFlow& flow);
void slice(ChannelFlow& flow);
void gather(ChannelFlow& flow);
void pad(ChannelFlow& flow);

}  // namespace channel_rules
}  // namespace pare
