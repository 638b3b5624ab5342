// Graphs made in memory for tests.
#pragma once

#include <string>
#include <vector>

#include "src/core/random.hpp"
#include "src/graph/graph.hpp"

namespace pare::test {

class GraphBuilder {
 public:
  GraphBuilder() { graph_.opset = 21; }

  ValueId input(const std::string& name, Shape shape, DType dtype = DType::float32) {
    const ValueId id = graph_.add_value(name);
    Port port{id, {}, true};
    for (const int64_t size : shape) port.dims.push_back({size, ""});
    graph_.value(id).dtype = dtype;
    graph_.value(id).shape = std::move(shape);
    graph_.inputs.push_back(std::move(port));
    return id;
  }

  ValueId constant(const std::string& name, Tensor tensor) {
    const ValueId id = graph_.add_value(name);
    graph_.value(id).dtype = tensor.dtype;
    graph_.value(id).shape = tensor.shape;
    graph_.value(id).constant = std::move(tensor);
    return id;
  }

  // Normal values times `scale`, by name.
  ValueId weight(const std::string& name, Shape shape, float scale = 0.5f) {
    std::vector<float> values(static_cast<size_t>(element_count(shape)));
    const RandomKey key{7, random_stream(name)};
    for (size_t i = 0; i < values.size(); ++i) values[i] = scale * random_normal(key, i);
    return constant(name, Tensor::of(DType::float32, std::move(shape), values));
  }

  ValueId filled(const std::string& name, Shape shape, float value) {
    const std::vector<float> values(static_cast<size_t>(element_count(shape)), value);
    return constant(name, Tensor::of(DType::float32, std::move(shape), values));
  }

  ValueId node(const std::string& op, std::vector<ValueId> inputs,
               std::map<std::string, Attribute, std::less<>> attributes = {}, const std::string& domain = "") {
    Node node;
    node.domain = domain;
    node.name = op + "_" + std::to_string(graph_.nodes.size());
    node.op = op;
    node.inputs = std::move(inputs);
    node.outputs = {graph_.add_value(node.name + "_out")};
    node.attributes = std::move(attributes);
    graph_.nodes.push_back(node);
    return node.outputs[0];
  }

  Graph finish(ValueId output) {
    graph_.outputs.push_back({output, {}, false});
    verify(graph_);
    return std::move(graph_);
  }

 private:
  Graph graph_;
};

// [N,2,6,6] -> Conv -> BatchNormalization -> Relu -> MaxPool -> Conv -> Add of a constant -> Relu -> GlobalAveragePool
// -> Flatten -> Gemm.
inline Graph small_cnn() {
  GraphBuilder b;
  const ValueId x = b.input("x", {-1, 2, 6, 6});
  const std::vector<int64_t> same{1, 1, 1, 1};
  ValueId y = b.node("Conv", {x, b.weight("conv1", {4, 2, 3, 3})}, {{"pads", same}});
  y = b.node("BatchNormalization", {y, b.filled("scale", {4}, 1.2f), b.filled("shift", {4}, 0.1f),
                                    b.filled("mean", {4}, 0.05f), b.filled("variance", {4}, 0.9f)});
  y = b.node("Relu", {y});
  y = b.node("MaxPool", {y}, {{"kernel_shape", std::vector<int64_t>{2, 2}}, {"strides", std::vector<int64_t>{2, 2}}});
  y = b.node("Conv", {y, b.weight("conv2", {5, 4, 3, 3})}, {{"pads", same}});
  y = b.node("Add", {y, b.weight("offset", {1, 5, 1, 1}, 0.1f)});
  y = b.node("Relu", {y});
  y = b.node("Flatten", {b.node("GlobalAveragePool", {y})});
  return b.finish(b.node("Gemm", {y, b.weight("fc", {3, 5}), b.weight("fc.bias", {3})}, {{"transB", int64_t{1}}}));
}

}  // namespace pare::test
