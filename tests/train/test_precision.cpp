#include <ATen/ops/randn.h>
#include <ATen/ops/sum.h>
#include <doctest/doctest.h>

#include "src/exec/executor.hpp"
#include "src/train/precision.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;

TEST_CASE(
    "precision: convolutions and matrix products run in 16 bits inside the scope, weights and gradients stay fp32") {
  const Graph graph = test::small_cnn();
  const Executor executor(graph);
  const Parameters parameters(graph, at::kCPU, Training::on);
  const at::Tensor x = at::randn({2, 2, 6, 6});
  std::vector<ValueId> convolved;
  for (const Node& node : graph.nodes)
    if (node.op == "Conv" || node.op == "Gemm") convolved.push_back(node.outputs[0]);
  REQUIRE(convolved.size() >= 2);
  const auto types = [&](const std::string& precision) {
    std::vector<at::ScalarType> seen;
    Observation observation;
    observation.watched.assign(graph.values.size(), false);
    for (const ValueId id : convolved) observation.watched[static_cast<size_t>(id)] = true;
    observation.seen = [&](ValueId, const at::Tensor& value) { seen.push_back(value.scalar_type()); };
    const AutocastScope scope(precision, at::kCPU);
    executor.run(parameters, {&x, 1}, true, &observation).at(0).to(at::kFloat).sum().backward();
    return seen;
  };
  CHECK((types("fp32") == std::vector(convolved.size(), at::kFloat)));
  CHECK((types("bf16") == std::vector(convolved.size(), at::kBFloat16)));
  CHECK((types("fp16") == std::vector(convolved.size(), at::kHalf)));
  for (const Parameter& parameter : parameters.all())
    if (parameter.tensor.grad().defined()) CHECK((parameter.tensor.grad().scalar_type() == at::kFloat));
}
