#include "compress/integer_kernels.hpp"

#include <algorithm>
#include <set>
#include <string_view>

namespace pare {
namespace {

using Names = std::set<std::string_view>;

const Names integer_convolutions = {"ConvInteger", "QLinearConv", "QLinearConvTranspose"};
const Names float_convolutions = {"Conv", "ConvTranspose", "FusedConv", "NhwcFusedConv"};
const Names integer_products = {"DynamicQuantizeMatMul", "MatMulInteger", "MatMulIntegerToFloat", "QAttention", "QGemm",
                                "QLinearMatMul"};
const Names float_products = {"Attention", "FusedGemm", "FusedMatMul", "Gemm", "MatMul", "MultiHeadAttention"};

void count(const std::string& op, const Names& integer, const Names& real, KernelCount& counts) {
  counts.integer += integer.contains(op);
  counts.all += integer.contains(op) || real.contains(op);
}

}  // namespace

IntegerKernels integer_kernels(const Graph& optimized) {
  IntegerKernels kernels;
  for (const Node& node : optimized.nodes) {
    count(node.op, integer_convolutions, float_convolutions, kernels.convolutions);
    count(node.op, integer_products, float_products, kernels.products);
  }
  return kernels;
}

IntegerKernels integer_kernels(const Graph& graph, const QuantPlacement& placement) {
  IntegerKernels kernels;
  for (const Node& node : graph.nodes) {
    if (!node.domain.empty()) continue;
    const bool convolution = float_convolutions.contains(node.op);
    if (!convolution && !float_products.contains(node.op)) continue;
    KernelCount& counts = convolution ? kernels.convolutions : kernels.products;
    ++counts.all;
    const auto layer = std::find_if(placement.layers.begin(), placement.layers.end(),
                                    [&](const QuantLayer& row) { return row.name == node.name; });
    const bool planned = layer != placement.layers.end();
    if (node.op == "Conv") counts.integer += planned && placement.find(layer->output) != nullptr;
    else if (node.op == "Gemm") counts.integer += planned;
    else if (node.op == "MatMul")
      counts.integer += placement.find(node.inputs[0]) != nullptr && placement.find(node.inputs[1]) != nullptr;
  }
  return kernels;
}

}  // namespace pare
