#include "compress/channel_rules.hpp"

#include <algorithm>
#include <iterator>

namespace pare {
namespace {

using channel_rules::pointwise;
using channel_rules::Zero;

// By name, for the binary search.
constexpr ChannelRule rules[] = {
    {"Abs", pointwise<Zero::all>},
    {"Add", pointwise<Zero::all>},
    {"And", pointwise<Zero::any>},
    {"ArgMax", channel_rules::arg},
    {"ArgMin", channel_rules::arg},
    {"AveragePool", channel_rules::pool},
    {"BatchNormalization", channel_rules::batch_normalization},
    {"Cast", channel_rules::cast},
    {"CastLike", channel_rules::cast},
    {"Ceil", pointwise<Zero::all>},
    {"Celu", pointwise<Zero::all>},
    {"Clip", channel_rules::clip},
    {"Concat", channel_rules::concat},
    {"ConstantOfShape", channel_rules::constant_of_shape},
    {"Conv", channel_rules::conv},
    {"ConvTranspose", channel_rules::conv_transpose},
    {"Cos", pointwise<Zero::never>},
    {"CumSum", channel_rules::cumulative},
    {"DepthToSpace", channel_rules::depth_to_space},
    {"DequantizeLinear", channel_rules::quantize},
    {"Div", channel_rules::div},
    {"Dropout", channel_rules::cast},
    {"Einsum", channel_rules::einsum},
    {"Elu", pointwise<Zero::all>},
    {"Equal", pointwise<Zero::never>},
    {"Erf", pointwise<Zero::all>},
    {"Exp", pointwise<Zero::never>},
    {"Expand", channel_rules::expand},
    {"Flatten", channel_rules::reshape},
    {"Floor", pointwise<Zero::all>},
    {"GRU", channel_rules::gru},
    {"Gather", channel_rules::gather},
    {"Gelu", pointwise<Zero::all>},
    {"Gemm", channel_rules::gemm},
    {"GlobalAveragePool", channel_rules::pool},
    {"GlobalMaxPool", channel_rules::pool},
    {"Greater", pointwise<Zero::never>},
    {"GreaterOrEqual", pointwise<Zero::never>},
    {"GroupNormalization", channel_rules::group_normalization},
    {"HardSigmoid", pointwise<Zero::never>},
    {"HardSwish", pointwise<Zero::all>},
    {"Hardmax", channel_rules::along_axis},
    {"Identity", pointwise<Zero::all>},
    {"InstanceNormalization", channel_rules::instance_normalization},
    {"IsInf", pointwise<Zero::never>},
    {"IsNaN", pointwise<Zero::never>},
    {"LSTM", channel_rules::lstm},
    {"LayerNormalization", channel_rules::layer_normalization},
    {"LeakyRelu", pointwise<Zero::all>},
    {"Less", pointwise<Zero::never>},
    {"LessOrEqual", pointwise<Zero::never>},
    {"Log", channel_rules::singular},
    {"LogSoftmax", channel_rules::along_axis},
    {"LpNormalization", channel_rules::along_axis},
    {"LpPool", channel_rules::pool},
    {"MatMul", channel_rules::matmul},
    {"Max", pointwise<Zero::all>},
    {"MaxPool", channel_rules::pool},
    {"Mean", pointwise<Zero::all>},
    {"Min", pointwise<Zero::all>},
    {"Mish", pointwise<Zero::all>},
    {"Mul", pointwise<Zero::any>},
    {"Neg", pointwise<Zero::all>},
    {"Not", pointwise<Zero::never>},
    {"Or", pointwise<Zero::all>},
    {"PRelu", pointwise<Zero::first>},
    {"Pad", channel_rules::pad},
    {"Pow", channel_rules::pow},
    {"QuantizeLinear", channel_rules::quantize},
    {"RMSNormalization", channel_rules::layer_normalization},
    {"RNN", channel_rules::rnn},
    {"Reciprocal", channel_rules::singular},
    {"ReduceL1", channel_rules::reduce_zero},
    {"ReduceL2", channel_rules::reduce_zero},
    {"ReduceLogSum", channel_rules::reduce},
    {"ReduceLogSumExp", channel_rules::reduce},
    {"ReduceMax", channel_rules::reduce},
    {"ReduceMean", channel_rules::reduce},
    {"ReduceMin", channel_rules::reduce},
    {"ReduceProd", channel_rules::reduce},
    {"ReduceSum", channel_rules::reduce_zero},
    {"ReduceSumSquare", channel_rules::reduce_zero},
    {"Relu", pointwise<Zero::all>},
    {"Reshape", channel_rules::reshape},
    {"Resize", channel_rules::resize},
    {"Round", pointwise<Zero::all>},
    {"Selu", pointwise<Zero::all>},
    {"Shape", channel_rules::shape},
    {"Sigmoid", pointwise<Zero::never>},
    {"Sign", pointwise<Zero::all>},
    {"Sin", pointwise<Zero::all>},
    {"Slice", channel_rules::slice},
    {"Softmax", channel_rules::along_axis},
    {"Softplus", pointwise<Zero::never>},
    {"Softsign", pointwise<Zero::all>},
    {"SpaceToDepth", channel_rules::space_to_depth},
    {"Split", channel_rules::split},
    {"Sqrt", pointwise<Zero::all>},
    {"Squeeze", channel_rules::reshape},
    {"Sub", pointwise<Zero::all>},
    {"Sum", pointwise<Zero::all>},
    {"Swish", pointwise<Zero::all>},
    {"Tanh", pointwise<Zero::all>},
    {"ThresholdedRelu", pointwise<Zero::all>},
    {"Tile", channel_rules::tile},
    {"Transpose", channel_rules::transpose},
    {"Trilu", channel_rules::trilu},
    {"Unsqueeze", channel_rules::reshape},
    {"Where", channel_rules::where},
    {"Xor", pointwise<Zero::all>},
};

constexpr bool before(const ChannelRule& a, const ChannelRule& b) {
  return std::string_view(a.op) < std::string_view(b.op);
}
static_assert(std::is_sorted(std::begin(rules), std::end(rules), before));

}  // namespace

const ChannelRule* find_channel_rule(std::string_view domain, std::string_view op) {
  if (!domain.empty()) return nullptr;
  const auto found = std::lower_bound(std::begin(rules), std::end(rules), op,
                                      [](const ChannelRule& rule, std::string_view name) { return rule.op < name; });
  return found != std::end(rules) && found->op == op ? found : nullptr;
}

}  // namespace pare
