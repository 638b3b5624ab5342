#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>
#include <doctest/doctest.h>

#include "src/graph/block_outputs.hpp"
#include "src/train/objective.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;

namespace {

// [N,4] -> MatMul -> Tanh ("hidden") -> MatMul: logits [N,3]; or, with `regression`, -> Tanh.
Graph network(bool regression) {
  test::GraphBuilder b;
  const ValueId hidden = b.node("Tanh", {b.node("MatMul", {b.input("x", {-1, 4}), b.weight("w1", {4, 5})})});
  const ValueId y = b.node("MatMul", {hidden, b.weight("w2", {5, 3})});
  return b.finish(regression ? b.node("Tanh", {y}) : y);
}

struct Fixture {
  Graph graph;
  Executor executor;
  Parameters student, teacher_parameters;
  LiveTeacher teacher;
  std::vector<float> values;
  std::vector<int64_t> indices{3, 1, 4, 7, 5};
  Batch batch;

  explicit Fixture(bool regression = false)
      : graph(network(regression)),
        executor(with_outputs(graph, {"Tanh_1_out"})),
        student(graph, at::kCPU, Training::on),
        teacher_parameters(graph, at::kCPU, Training::off),
        teacher({{&executor, &teacher_parameters}}) {
    for (int i = 0; i < 20; ++i) values.push_back(std::sin(1.3f * static_cast<float>(i)));
    batch.inputs = {{DType::float32, {5, 4}, reinterpret_cast<std::byte*>(values.data())}};
    batch.indices = indices;
    batch.size = batch.rows = 5;
  }

  ObjectiveConfig config(LossKind kind) const {
    ObjectiveConfig made;
    made.terms = {{kind, 0, 1}};
    made.targets = {-1};
    made.taught = {0};
    made.features = {{&find_feature_loss("fitnet"), {}}};
    return made;
  }

  double loss(const Objective& objective, int64_t step = 0, int64_t epoch = 0) {
    StepInfo info;
    info.step = step;
    info.epoch = epoch;
    for (at::Tensor leaf : student.leaves()) leaf.mutable_grad() = at::Tensor();
    const at::Tensor loss = objective(batch, info);
    loss.backward();
    return loss.item<double>();
  }

  double gradient() const {
    double sum = 0;
    for (const at::Tensor& leaf : student.leaves()) sum += leaf.grad().abs().sum().item<double>();
    return sum;
  }
};

}  // namespace

TEST_CASE("objective: a student that equals its teacher has no loss and no gradient, also at its features") {
  for (const bool regression : {false, true}) {
    Fixture f(regression);
    const Objective objective({&f.executor, &f.student}, &f.teacher,
                              f.config(regression ? LossKind::relative : LossKind::kl), at::kCPU);
    CHECK(f.loss(objective) == doctest::Approx(0).epsilon(1e-6));
    CHECK(f.gradient() < 1e-5);
    const c10::AutoGradMode no_grad(false);
    f.student.leaves()[0].mul_(1.2);
    const c10::AutoGradMode grad(true);
    CHECK(f.loss(objective) > 1e-3);
  }
}

TEST_CASE("objective: scored steps have a gradient at the teacher itself, the same for the same epoch and seed") {
  for (const bool regression : {false, true}) {
    Fixture f(regression);
    ObjectiveConfig config = f.config(regression ? LossKind::relative : LossKind::kl);
    config.sampled_weight = 0.3;
    config.scored = [](int64_t step) { return step < 10; };
    const Objective objective({&f.executor, &f.student}, &f.teacher, config, at::kCPU);
    f.loss(objective, 9);
    const double first = f.gradient();
    CHECK(first > 1e-3);
    f.loss(objective, 9);
    CHECK(f.gradient() == first);
    f.loss(objective, 9, 1);
    CHECK(f.gradient() != first);
    f.loss(objective, 10);
    CHECK(f.gradient() < 1e-5);
  }
}

TEST_CASE("objective: rows that fill a batch up do not count") {
  Fixture f;
  const Objective objective({&f.executor, &f.student}, &f.teacher, f.config(LossKind::mse), at::kCPU);
  {
    const c10::AutoGradMode no_grad(false);
    f.student.leaves()[0].mul_(1.2);
  }
  f.batch.inputs[0].shape = {3, 4};
  f.batch.size = f.batch.rows = 3;
  const double three = f.loss(objective);
  f.batch.inputs[0].shape = {5, 4};
  f.batch.rows = 5;
  CHECK(f.loss(objective) == doctest::Approx(three).epsilon(1e-6));
}

TEST_CASE("objective: the mean of two teachers") {
  Fixture f;
  Parameters other(f.graph, at::kCPU, Training::off);
  other.writable(f.graph.find("w2")).mul_(3);
  LiveTeacher both({{&f.executor, &f.teacher_parameters}, {&f.executor, &other}});
  // The last layer is linear: the mean is that of a weight twice as large.
  {
    const c10::AutoGradMode no_grad(false);
    f.student.tensor(f.graph.find("w2")).mul_(2);
  }
  ObjectiveConfig config = f.config(LossKind::mse);
  const Objective objective({&f.executor, &f.student}, &both, config, at::kCPU);
  CHECK(f.loss(objective) == doctest::Approx(0).epsilon(1e-6));
}
