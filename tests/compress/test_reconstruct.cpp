#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/linalg_lstsq.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/randn.h>
#include <doctest/doctest.h>

#include "compress/reconstruct.hpp"
#include "src/core/error.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;

namespace {

// Rows whose columns depend on each other, so that kept weights can stand in for pruned ones.
at::Tensor correlated(int64_t rows, int64_t columns) {
  return at::matmul(at::randn({rows, columns / 2}), at::randn({columns / 2, columns}))
      .add_(at::randn({rows, columns}), 0.1);
}

double output_error(const at::Tensor& x, const at::Tensor& before, const at::Tensor& after) {
  return at::matmul(x, (after - before).t()).square().sum().item<double>();
}

at::Tensor without_smallest(const at::Tensor& matrix, int64_t pruned) {
  const at::Tensor cut = std::get<0>(matrix.abs().flatten().sort())[pruned];
  return matrix * (matrix.abs() >= cut);
}

struct Model {
  Graph graph = test::small_cnn();
  Parameters parameters{graph, at::kCPU, Training::on};
  Executor executor{graph};
  at::Tensor samples = at::randn({40, 2, 6, 6});

  std::map<std::string, at::Tensor> masks() const {
    std::map<std::string, at::Tensor> masks;
    for (const Parameter& parameter : parameters.all())
      if (parameter.role == Role::weight)
        masks.emplace(parameter.name, at::ones_like(parameter.tensor.detach(), at::kByte));
    return masks;
  }
  at::Tensor run(const Observation* observation = nullptr) const {
    const c10::AutoGradMode no_grad(false);
    return executor.run(parameters, {&samples, 1}, false, observation).at(0);
  }
};

}  // namespace

TEST_CASE("reconstruct: exactly so many weights are zero, and the layer's output changes less than without refitting") {
  const at::Tensor x = correlated(400, 150);
  const at::Tensor before = at::randn({8, 150});
  Hessian hessian(1, 150, at::kCPU);
  hessian.add(x.unsqueeze(0));
  const at::Tensor matrix = before.clone();
  const at::Tensor mask = at::ones_like(matrix, at::kByte);
  reconstruct_matrix(matrix, mask, inverse_factor(hessian.matrix(0)), {}, 701);
  CHECK((matrix == 0).sum().item<int64_t>() == 701);
  CHECK((matrix == 0).equal(mask.eq(0)));
  CHECK(output_error(x, before, matrix) < 0.7 * output_error(x, before, without_smallest(before, 701)));
}

TEST_CASE("reconstruct: one pruned weight in the first column is compensated as least squares does") {
  const at::Tensor x = correlated(200, 6);
  const at::Tensor before = at::randn({1, 6});
  Hessian hessian(1, 6, at::kCPU);
  hessian.add(x.unsqueeze(0));
  const at::Tensor matrix = before.clone();
  const at::Tensor mask = at::ones_like(matrix, at::kByte);
  mask[0][0] = 0;
  reconstruct_matrix(matrix, mask, inverse_factor(hessian.matrix(0), 1e-7), {}, 1);
  const at::Tensor rest = std::get<0>(at::linalg_lstsq(x.slice(1, 1), at::matmul(x, before.t())));
  CHECK(matrix[0][0].item<float>() == 0);
  CHECK(at::allclose(matrix[0].slice(0, 1), rest.flatten(), 1e-2, 1e-3));
}

TEST_CASE("reconstruct: N:M holds in every group, also where M divides neither blocks nor the row") {
  for (const auto& [n, m] : {std::pair{2, 4}, std::pair{1, 3}, std::pair{5, 24}}) {
    const at::Tensor x = correlated(300, 140);
    Hessian hessian(1, 140, at::kCPU);
    hessian.add(x.unsqueeze(0));
    const at::Tensor matrix = at::randn({5, 140});
    const at::Tensor mask = at::ones_like(matrix, at::kByte);
    Pattern pattern;
    pattern.kind = Pattern::Kind::n_of_m;
    pattern.n = n;
    pattern.m = m;
    reconstruct_matrix(matrix, mask, inverse_factor(hessian.matrix(0)), pattern, 0);
    for (int64_t begin = 0; begin < 140; begin += m) {
      const at::Tensor kept = (matrix.slice(1, begin, std::min<int64_t>(begin + m, 140)) != 0).sum(1);
      CHECK(kept.max().item<int64_t>() == std::min<int64_t>(n, 140 - begin));
      CHECK(kept.min().item<int64_t>() == std::min<int64_t>(n, 140 - begin));
    }
  }
}

TEST_CASE("reconstruct: weights of inputs that are always zero go first") {
  at::Tensor x = correlated(100, 10);
  x.select(1, 3).zero_();
  Hessian hessian(1, 10, at::kCPU);
  hessian.add(x.unsqueeze(0));
  const at::Tensor matrix = at::randn({4, 10}).abs_().add_(1);
  const at::Tensor mask = at::ones_like(matrix, at::kByte);
  reconstruct_matrix(matrix, mask, inverse_factor(hessian.matrix(0)), {}, 4);
  CHECK((matrix.select(1, 3) == 0).all().item<bool>());
}

TEST_CASE("reconstruct: a whole model, layer after layer, zeros of before stay, better than magnitude") {
  Model model;
  {
    const c10::AutoGradMode no_grad(false);
    model.parameters.tensor(model.graph.find("conv2")).select(0, 0).zero_();
  }
  const at::Tensor original = model.run();
  const auto masks = model.masks();
  masks.at("conv2").select(0, 0).zero_();
  ReconstructConfig config;
  config.sparsity = 0.5;
  int runs = 0;
  const auto errors = reconstruct(model.graph, model.parameters, masks, config, [&](const Observation& observation) {
    ++runs;
    model.run(&observation);
  });
  CHECK(runs == 3);
  CHECK(errors.size() == 3);
  for (const auto& [name, error] : errors) CHECK(error < 0.3);
  for (const auto& [name, mask] : masks) {
    const at::Tensor weight = model.parameters.tensor(model.graph.find(name)).detach();
    CHECK((weight == 0).equal(mask.eq(0)));
    CHECK(mask.eq(0).sum().item<int64_t>() == (weight.numel() + 1) / 2);
  }
  CHECK((masks.at("conv2").select(0, 0) == 0).all().item<bool>());
  const double refit = (model.run() - original).square().sum().item<double>();
  Model plain;
  {
    const c10::AutoGradMode no_grad(false);
    plain.parameters.tensor(plain.graph.find("conv2")).select(0, 0).zero_();
    plain.samples = model.samples;
    for (const char* name : {"conv1", "conv2", "fc"}) {
      const at::Tensor& weight = plain.parameters.tensor(plain.graph.find(name));
      weight.copy_(without_smallest(weight.detach().clone(), (weight.numel() + 1) / 2));
    }
  }
  CHECK(refit < (plain.run() - original).square().sum().item<double>());
}

TEST_CASE("reconstruct: layers that cannot be watched are named") {
  test::GraphBuilder b;
  const ValueId x = b.input("x", {1, 4, 8, 8});
  const Graph graph = b.finish(b.node("ConvTranspose", {x, b.weight("w", {4, 3, 2, 2})}));
  const Parameters parameters(graph, at::kCPU, Training::on);
  const Executor executor(graph);
  const at::Tensor data = at::randn({1, 4, 8, 8});
  const std::map<std::string, at::Tensor> masks = {
      {"w", at::ones_like(parameters.tensor(graph.find("w")).detach(), at::kByte)}};
  const auto run = [&](const Observation& observation) {
    const c10::AutoGradMode no_grad(false);
    executor.run(parameters, {&data, 1}, false, &observation);
  };
  CHECK_THROWS_WITH_AS(reconstruct(graph, parameters, masks, {}, run), doctest::Contains("ConvTranspose node"), Error);
}
