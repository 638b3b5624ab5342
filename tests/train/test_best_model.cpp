#include <cmath>

#include <ATen/ops/full.h>
#include <doctest/doctest.h>

#include "src/train/best_model.hpp"

using namespace pare;

TEST_CASE("best_model: keeps the highest score, the first of equals, and comes back from a checkpoint") {
  const at::Tensor weight = at::full({3}, 1.0);
  BestModel best({{"w", weight}});
  CHECK_FALSE(best.kept());
  best.offer(0.5, 10);
  weight.fill_(2);
  best.offer(0.7, 20);
  weight.fill_(3);
  best.offer(0.7, 30);
  best.offer(NAN, 40);
  CHECK(best.step() == 20);
  CHECK(best.stale() == 2);
  BestModel resumed({{"w", weight}});
  for (const auto& [name, tensor] : resumed.state()) at::Tensor(tensor).copy_(best.state().at(name));
  resumed.set_numbers(Json::parse(best.numbers().dump()));
  resumed.offer(0.6, 50);
  CHECK(resumed.stale() == 3);
  resumed.restore();
  CHECK(weight[0].item<double>() == 2);
}
