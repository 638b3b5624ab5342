#include <doctest/doctest.h>

#include "src/core/error.hpp"
#include "src/train/loss_plan.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;

namespace {

// Outputs "MatMul_0_out" [N,3] (logits) and "Tanh_1_out" [N,3] (none).
Graph two_outputs() {
  test::GraphBuilder b;
  const ValueId logits = b.node("MatMul", {b.input("x", {-1, 4}), b.weight("w", {4, 3})});
  Graph graph = b.finish(b.node("Tanh", {logits}));
  graph.outputs.insert(graph.outputs.begin(), {logits, {}, false});
  return graph;
}

std::string planned(const LossRequest& request) {
  const Graph graph = two_outputs();
  return plan_text(graph, plan_losses(graph, request));
}

LossRequest request(bool labelled, bool teacher, const std::string& losses = "") {
  LossRequest made;
  made.labelled = labelled;
  made.teacher = teacher;
  made.losses = losses;
  return made;
}

}  // namespace

TEST_CASE("loss_plan: what looks like logits") {
  const Graph cnn = test::small_cnn();
  CHECK(looks_like_logits(cnn, cnn.outputs[0].value));
  const Graph two = two_outputs();
  CHECK(looks_like_logits(two, two.outputs[0].value));
  CHECK_FALSE(looks_like_logits(two, two.outputs[1].value));
  test::GraphBuilder b;
  const ValueId one = b.node("MatMul", {b.input("x", {-1, 4}), b.weight("w", {4, 1})});
  const Graph regression = b.finish(one);
  CHECK_FALSE(looks_like_logits(regression, one));
}

TEST_CASE("loss_plan: by task, labels and teacher") {
  CHECK(planned(request(true, true)) == "0.7 kl of MatMul_0_out, 0.3 ce of MatMul_0_out");
  CHECK(planned(request(true, false)) == "1 ce of MatMul_0_out");
  CHECK(planned(request(false, true)) == "1 kl of MatMul_0_out, 1 relative of Tanh_1_out");
  LossRequest none = request(true, true);
  none.task = "none";
  CHECK(planned(none) == "1 kl of MatMul_0_out, 1 relative of Tanh_1_out");
  none.outputs = {"Tanh_1_out"};
  CHECK(planned(none) == "1 relative of Tanh_1_out");
  LossRequest regress = request(false, true);
  regress.targets = {"Tanh_1_out"};
  CHECK(planned(regress) == "0.7 kl of MatMul_0_out, 0.7 relative of Tanh_1_out, 0.3 mse of Tanh_1_out");
  regress.targets = {"y"};
  CHECK(plan_losses(two_outputs(), regress).targets == std::vector<int>{0, -1});
}

TEST_CASE("loss_plan: lists with weights and outputs") {
  CHECK(planned(request(true, true, "ce,dkd:0.25,mse@Tanh_1_out:2")) ==
        "1 ce of MatMul_0_out, 0.25 dkd of MatMul_0_out, 2 mse of Tanh_1_out");
  for (const char* bad : {"ce:", "ce:0", "ce:-1", "ce:x", "kll", "ce@nothing", "ce,,kl"}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(planned(request(true, true, bad)), Error);
  }
}

TEST_CASE("loss_plan: a loss without anything to compare with is refused") {
  CHECK_THROWS_AS(planned(request(false, false)), Error);
  CHECK_THROWS_AS(planned(request(false, true, "ce")), Error);
  CHECK_THROWS_AS(planned(request(true, false, "kl")), Error);
  CHECK_THROWS_AS(planned(request(true, false, "mse")), Error);
  LossRequest made = request(false, true);
  made.task = "classify";
  CHECK_THROWS_AS(planned(made), Error);
  made.task = "regress";
  CHECK_THROWS_AS(planned(made), Error);
}
