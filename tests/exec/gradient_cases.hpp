// A case for every differentiable operator: odd shapes, broadcasting where the operator has it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/support/graph_builder.hpp"

namespace pare::test {

struct Operand {
  Shape shape;
  double low = -1, high = 1;       // values are drawn between them
  bool differentiated = true;      // false: a float input whose gradient the operator does not give
  std::optional<Tensor> constant;  // an initializer instead
};

struct GradientCase {
  const char* op;
  std::vector<Operand> operands;
  std::map<std::string, Attribute, std::less<>> attributes = {};
  size_t outputs = 1;
  const char* domain = "";
  size_t captured = 0;  // operands at the end that subgraphs read
};

inline Operand real(Shape shape, double low = -1, double high = 1) { return {std::move(shape), low, high, true, {}}; }
inline Operand fixed(Shape shape, double low = -1, double high = 1) { return {std::move(shape), low, high, false, {}}; }
inline Operand integers(Shape shape, const std::vector<int64_t>& values) {
  return {{}, 0, 0, false, Tensor::of<int64_t>(DType::int64, std::move(shape), values)};
}
inline Operand integers(const std::vector<int64_t>& values) {
  return integers({static_cast<int64_t>(values.size())}, values);
}
inline Operand number(float value) {
  return {{}, 0, 0, false, Tensor::of<float>(DType::float32, {}, std::vector<float>{value})};
}
inline Operand floats(const std::vector<float>& values) {
  return {{}, 0, 0, false, Tensor::of<float>(DType::float32, {static_cast<int64_t>(values.size())}, values)};
}
inline Operand bytes(DType dtype, Shape shape, const std::vector<uint8_t>& values) {
  return {{}, 0, 0, false, Tensor::of<uint8_t>(dtype, std::move(shape), values)};
}
inline Operand left_out() { return {{}, 0, 0, false, Tensor{}}; }

inline Operand truth() { return {{}, 0, 0, false, Tensor::of<uint8_t>(DType::boolean, {}, {1})}; }

using Sizes = std::vector<int64_t>;

inline Subgraph one_operator(const char* op) {
  GraphBuilder b;
  const ValueId x = b.input("x", {3, 5}, DType::float64);
  return std::make_shared<Graph>(b.finish(b.node(op, {x})));
}

// state * weight, and its tanh, three times.
inline Subgraph loop_body() {
  GraphBuilder b;
  b.input("iteration", {}, DType::int64);
  const ValueId condition = b.input("condition", {}, DType::boolean);
  const ValueId state = b.input("state", {3}, DType::float64), weight = b.input("weight", {3}, DType::float64);
  const ValueId more = b.node("Identity", {condition}), next = b.node("Mul", {state, weight});
  const ValueId slice = b.node("Tanh", {next});
  Graph graph = b.finish(more);
  for (const ValueId output : {next, slice}) graph.outputs.push_back({output, {}, false});
  return std::make_shared<Graph>(std::move(graph));
}

// state * weight + element, and its tanh.
inline Subgraph scan_body() {
  GraphBuilder b;
  const ValueId state = b.input("state", {3}, DType::float64), element = b.input("element", {3}, DType::float64);
  const ValueId weight = b.input("weight", {3}, DType::float64);
  const ValueId next = b.node("Add", {b.node("Mul", {state, weight}), element});
  const ValueId slice = b.node("Tanh", {next});
  Graph graph = b.finish(next);
  graph.outputs.push_back({slice, {}, false});
  return std::make_shared<Graph>(std::move(graph));
}

inline std::vector<GradientCase> gradient_cases() {
  const int64_t one = 1, two = 2, three = 3, last = -1;
  const Operand x = real({2, 3, 5}), image = real({2, 3, 5, 4});
  std::vector<GradientCase> cases = {
      {"If",
       {truth(), real({3, 5})},
       {{"then_branch", one_operator("Tanh")}, {"else_branch", one_operator("Exp")}},
       1,
       "",
       1},
      {"Loop", {integers({}, {3}), truth(), real({3}), real({3})}, {{"body", loop_body()}}, 2, "", 1},
      {"Scan", {real({3}), real({4, 3}), real({3})}, {{"body", scan_body()}, {"num_scan_inputs", one}}, 2, "", 1},
      {"Add", {real({2, 3, 5}), real({3, 1})}},
      {"Sub", {real({3, 1}), real({2, 3, 5})}},
      {"Mul", {real({2, 3, 5}), real({5})}},
      {"Div", {real({2, 1, 5}), real({3, 1}, 0.5, 2)}},
      {"Pow", {real({2, 1, 5}, 0.5, 2), real({3, 1})}},
      {"Mod", {real({3, 5}, 1.1, 1.4), real({5}, 0.41, 0.5)}, {{"fmod", one}}},
      {"Max", {real({3, 5}), real({5}), real({3, 1})}},
      {"Min", {real({3, 5}), real({5}), real({3, 1})}},
      {"Mean", {real({3, 5}), real({5}), real({3, 1})}},
      {"Sum", {real({3, 5}), real({5}), real({3, 1})}},
      {"Where", {bytes(DType::boolean, {3, 1}, {1, 0, 1}), real({3, 5}), real({5})}},
      {"PRelu", {real({2, 3, 5}), real({3, 1})}},
      {"Clip", {x, number(-0.5f), number(0.6f)}},
      {"Cast", {x}, {{"to", int64_t{11}}}},
      {"CastLike", {x, fixed({1})}},
      {"Celu", {x}, {{"alpha", 0.7f}}},
      {"Elu", {x}, {{"alpha", 0.7f}}},
      {"Selu", {x}},
      {"Gelu", {x}, {{"approximate", std::string("tanh")}}},
      {"HardSigmoid", {real({3, 5}, -4, 4)}},
      {"HardSwish", {real({3, 5}, -4, 4)}},
      {"LeakyRelu", {x}, {{"alpha", 0.2f}}},
      {"Swish", {x}, {{"alpha", 1.5f}}},
      {"ThresholdedRelu", {x}, {{"alpha", 0.3f}}},
      {"Shrink", {x}, {{"lambd", 0.3f}, {"bias", 0.1f}}},
      {"Softmax", {x}, {{"axis", one}}},
      {"LogSoftmax", {x}, {{"axis", last}}},
      {"LpNormalization", {x}, {{"axis", one}, {"p", two}}},
      {"LRN", {image}, {{"size", three}, {"alpha", 0.5f}}},
      {"Dropout", {x}},
      {"MatMul", {real({2, 3, 5}), real({5, 2})}},
      {"Gemm",
       {real({5, 3}), real({2, 5}), real({2})},
       {{"transA", one}, {"transB", one}, {"alpha", 0.5f}, {"beta", 2.0f}}},
      {"Einsum", {real({2, 3}), real({3, 5})}, {{"equation", std::string("ij,jk->ki")}}},
      {"Conv",
       {real({2, 4, 5, 6}), real({6, 2, 3, 3}), real({6})},
       {{"group", two}, {"strides", Sizes{2, 1}}, {"pads", Sizes{1, 0, 2, 1}}, {"dilations", Sizes{1, 2}}}},
      {"ConvTranspose",
       {real({2, 4, 3, 2}), real({4, 3, 3, 2}), real({6})},
       {{"group", two}, {"strides", Sizes{2, 1}}, {"pads", Sizes{1, 0, 0, 1}}}},
      {"AveragePool", {image}, {{"kernel_shape", Sizes{3, 2}}, {"strides", Sizes{2, 1}}, {"pads", Sizes{1, 0, 1, 1}}}},
      {"MaxPool", {image}, {{"kernel_shape", Sizes{3, 2}}, {"strides", Sizes{2, 1}}, {"pads", Sizes{1, 0, 1, 1}}}},
      {"GlobalAveragePool", {image}},
      {"GlobalMaxPool", {image}},
      {"BatchNormalization", {image, real({3}), real({3}), fixed({3}), fixed({3}, 0.5, 2)}},
      {"InstanceNormalization", {x, real({3}), real({3})}},
      {"GroupNormalization", {real({2, 4, 5}), real({4}), real({4})}, {{"num_groups", two}}},
      {"LayerNormalization", {x, real({3, 5}), real({3, 5})}, {{"axis", one}}},
      {"RMSNormalization", {x, real({5})}},
      {"Attention",
       {real({2, 3, 8}), real({2, 5, 4}), real({2, 5, 6}), real({3, 5})},
       {{"q_num_heads", int64_t{4}}, {"kv_num_heads", two}, {"softcap", 2.0f}}},
      {"RotaryEmbedding",
       {real({2, 3, 3, 4}), real({3, 2}), real({3, 2}), integers({2, 3}, {0, 1, 2, 2, 0, 1})},
       {{"interleaved", one}}},
      {"LSTM", {real({3, 2, 4}), real({1, 12, 4}), real({1, 12, 3}), real({1, 24})}, {{"hidden_size", three}}},
      {"GRU", {real({3, 2, 4}), real({1, 9, 4}), real({1, 9, 3}), real({1, 18})}, {{"hidden_size", three}}},
      {"RNN", {real({3, 2, 4}), real({1, 3, 4}), real({1, 3, 3}), real({1, 6})}, {{"hidden_size", three}}},
      {"Concat", {real({2, 3}), real({2, 1})}, {{"axis", one}}},
      {"Split", {x, integers({1, 4})}, {{"axis", two}}, 2},
      {"Slice", {x, integers({4, 0}), integers({-6, 2}), integers({2, 1}), integers({-2, 1})}},
      {"Pad", {x, integers({0, 1, 2, 0, 2, 1})}, {{"mode", std::string("reflect")}}},
      {"Reshape", {x, integers({5, -1})}},
      {"Flatten", {x}, {{"axis", two}}},
      {"Transpose", {x}, {{"perm", Sizes{2, 0, 1}}}},
      {"Squeeze", {real({3, 1, 5}), integers({1})}},
      {"Unsqueeze", {x, integers({0, -1})}},
      {"Expand", {real({3, 1}), integers({2, 3, 5})}},
      {"Tile", {real({2, 3}), integers({2, 2})}},
      {"Gather", {x, integers({2, 2}, {0, 2, -1, 1})}, {{"axis", one}}},
      {"GatherElements", {real({3, 4}), integers({2, 4}, {0, 2, 1, 0, 2, 2, -1, 1})}},
      {"GatherND", {x, integers({2, 2}, {0, 2, 1, 0})}},
      {"ScatterElements", {real({3, 4}), integers({1, 3}, {2, 0, 1}), real({1, 3})}},
      {"ScatterND", {x, integers({2, 2}, {0, 2, 1, 0}), real({2, 5})}},
      {"DepthToSpace", {real({1, 8, 2, 3})}, {{"blocksize", two}}},
      {"SpaceToDepth", {real({1, 2, 4, 6})}, {{"blocksize", two}}},
      {"CumSum", {x, integers({1})}, {{"exclusive", one}, {"reverse", one}}},
      {"Trilu", {real({2, 4, 5}), integers({1})}},
      {"TopK", {x, integers({2})}, {{"axis", two}}, 2},
      {"Resize", {image, left_out(), floats({1, 1, 1.7f, 0.6f})}, {{"mode", std::string("linear")}}},
      {"Resize", {image, left_out(), floats({1, 1, 2, 4})}, {{"mode", std::string("nearest")}}},
      {"GridSample", {image, real({2, 3, 2, 2}, -0.9, 0.9)}, {{"mode", std::string("linear")}}},
      {"RoiAlign",
       {image, fixed({2, 4}, 0.5, 3.5), integers({1, 0})},
       {{"output_height", two}, {"output_width", three}, {"sampling_ratio", two}}},
      {"Acosh", {real({3, 5}, 1.2, 3)}},
      {"Sqrt", {real({3, 5}, 0.2, 3)}},
      {"Log", {real({3, 5}, 0.2, 3)}},
      {"Reciprocal", {real({3, 5}, 0.2, 3)}},
      {"ReduceLogSum", {real({3, 5}, 0.2, 3), integers({1})}, {{"keepdims", int64_t{0}}}},
      {"ReduceProd", {real({3, 5}, 0.2, 3), integers({0, 1})}},
      {"LpPool", {image}, {{"kernel_shape", Sizes{3, 2}}, {"strides", Sizes{2, 1}}, {"pads", Sizes{1, 0, 1, 1}}}},
      {"GlobalLpPool", {image}, {{"p", three}}},
      {"CumProd", {real({2, 3, 5}, 0.4, 1.6), integers({1})}, {{"exclusive", one}, {"reverse", one}}},
      {"Compress", {x, bytes(DType::boolean, {2}, {0, 1})}, {{"axis", one}}},
      {"MeanVarianceNormalization", {image}},
      {"ReverseSequence", {x, integers({1, 2, 3})}, {{"batch_axis", one}, {"time_axis", two}}},
      {"SimplifiedLayerNormalization", {x, real({5})}},
      {"Attention",
       {real({2, 3, 4}), real({4, 18}), real({18}), left_out(), real({2, 2, 2, 1, 3}), real({1, 2, 3, 4})},
       {{"num_heads", two}, {"unidirectional", one}},
       2,
       "com.microsoft"},
      {"MultiHeadAttention",
       {real({2, 3, 4}), real({2, 5, 4}), real({2, 5, 6}), real({14})},
       {{"num_heads", two}},
       1,
       "com.microsoft"},
      {"EmbedLayerNormalization",
       {integers({2, 3}, {0, 3, 1, 2, 2, 0}), integers({2, 3}, {0, 1, 1, 0, 0, 1}), real({4, 5}), real({3, 5}),
        real({2, 5}), real({5}), real({5})},
       {{"epsilon", 0.01f}},
       1,
       "com.microsoft"},
      {"BiasGelu", {x, real({5})}, {}, 1, "com.microsoft"},
      {"FastGelu", {x, real({5})}, {}, 1, "com.microsoft"},
      {"Gelu", {x}, {}, 1, "com.microsoft"},
      {"QuickGelu", {x}, {}, 1, "com.microsoft"},
      {"FusedMatMul",
       {real({2, 5, 3}), real({4, 5})},
       {{"transA", one}, {"transB", one}, {"alpha", 0.5f}},
       1,
       "com.microsoft"},
      {"SkipLayerNormalization", {x, real({2, 3, 5}), real({5}), real({5}), real({5})}, {}, 1, "com.microsoft"},
      {"SkipSimplifiedLayerNormalization", {x, real({2, 3, 5}), real({5}), real({5})}, {}, 1, "com.microsoft"},
      {"MatMulNBits",
       {real({3, 5}), bytes(DType::uint8, {2, 1, 8}, {1, 35, 69, 103, 137, 171, 205, 239, 1, 2, 3, 4, 5, 6, 7, 8}),
        floats({0.5f, 0.25f})},
       {{"K", int64_t{5}}, {"N", two}, {"block_size", int64_t{16}}},
       1,
       "com.microsoft"},
  };
  for (const char* op :
       {"Abs",  "Acos", "Asin", "Asinh",   "Atan", "Atanh", "Cos",      "Cosh",     "Erf", "Exp", "Identity",
        "Mish", "Neg",  "Relu", "Sigmoid", "Sin",  "Sinh",  "Softplus", "Softsign", "Tan", "Tanh"})
    cases.push_back({op, {real({2, 3, 5}, -0.9, 0.9)}});
  for (const char* op : {"ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum",
                         "ReduceSumSquare"})
    cases.push_back({op, {x, integers({2, 0})}});
  return cases;
}

}  // namespace pare::test
