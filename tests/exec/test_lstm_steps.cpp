#include <ATen/autocast_mode.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/randn.h>
#include <c10/util/Exception.h>
#include <doctest/doctest.h>

#include "src/core/threads.hpp"
#include "src/exec/ops.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;

namespace {

// Y, Y_h and Y_c; with gradients the steps are ATen's operators.
std::vector<at::Tensor> run(const std::vector<at::Tensor>& in, const std::string& direction, int64_t layout,
                            bool gradients) {
  test::GraphBuilder b;
  const Graph graph =
      b.finish(b.node("LSTM", {b.input("x", {1, 1, 1})}, {{"direction", direction}, {"layout", layout}}));
  std::vector<at::Tensor> out(3);
  const c10::AutoGradMode mode(gradients);
  make_step({graph, graph.nodes[0]})({in, out, false});
  return out;
}

}  // namespace

TEST_CASE("lstm_steps: outputs and last states equal those of the steps with gradients") {
  const int64_t time = 5, input = 7;
  for (const int64_t hidden : {3, 16, 37})
    for (const int64_t batch : {1, 3})
      for (const std::string direction : {"forward", "reverse", "bidirectional"})
        for (const int64_t layout : {0, 1}) {
          const int64_t directions = direction == "bidirectional" ? 2 : 1;
          const auto state = [&] {
            return layout == 0 ? at::randn({directions, batch, hidden}) : at::randn({batch, directions, hidden});
          };
          std::vector<at::Tensor> in = {layout == 0 ? at::randn({time, batch, input}) : at::randn({batch, time, input}),
                                        at::randn({directions, 4 * hidden, input}),
                                        at::randn({directions, 4 * hidden, hidden})};
          for (const bool all : {false, true}) {
            if (all) {
              in.push_back(at::randn({directions, 8 * hidden}));
              in.push_back({});
              in.push_back(state());
              in.push_back(state());
            }
            const auto expected = run(in, direction, layout, true);
            const auto outputs = run(in, direction, layout, false);
            INFO(direction, ", layout ", layout, ", hidden ", hidden, ", batch ", batch, ", bias and states ", all);
            for (size_t i = 0; i < 3; ++i) CHECK(at::allclose(outputs[i], expected[i], 1e-5, 1e-5));
          }
        }
}

TEST_CASE("lstm_steps: the same bytes for any number of threads") {
  const std::vector<at::Tensor> in = {at::randn({4, 2, 9}), at::randn({1, 4 * 70, 9}), at::randn({1, 4 * 70, 70})};
  const int before = thread_count();
  set_threads(1);
  const auto one = run(in, "forward", 0, false);
  set_threads(3);
  const auto three = run(in, "forward", 0, false);
  set_threads(before);
  for (size_t i = 0; i < 3; ++i) CHECK(one[i].equal(three[i]));
}

TEST_CASE("lstm_steps: states and weights of other sizes are refused") {
  const int64_t hidden = 16;
  const std::vector<at::Tensor> good = {at::randn({3, 2, 4}),
                                        at::randn({1, 4 * hidden, 4}),
                                        at::randn({1, 4 * hidden, hidden}),
                                        at::randn({1, 8 * hidden}),
                                        {},
                                        at::randn({1, 2, hidden}),
                                        at::randn({1, 2, hidden})};
  CHECK_NOTHROW(run(good, "forward", 0, false));
  for (const auto& [input, shape] : {std::pair<size_t, std::vector<int64_t>>{2, {1, 4 * hidden, 8}},
                                     {2, {1, 4 * 8, hidden}},
                                     {3, {1, 8 * 8}},
                                     {5, {1, 2, 8}},
                                     {6, {1, 3, hidden}}}) {
    std::vector<at::Tensor> in = good;
    in[input] = at::randn(shape);
    INFO("input ", input);
    CHECK_THROWS_AS(run(in, "forward", 0, false), c10::Error);
  }
}

TEST_CASE("lstm_steps: in autocast's type the layer runs as with gradients") {
  const std::vector<at::Tensor> in = {at::randn({4, 2, 9}), at::randn({1, 4 * 16, 9}), at::randn({1, 4 * 16, 16})};
  at::autocast::set_autocast_enabled(at::kCPU, true);
  at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  const auto outputs = run(in, "forward", 0, false);
  const auto expected = run(in, "forward", 0, true);
  at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(at::kCPU, false);
  CHECK(at::allclose(outputs[0], expected[0]));
}
