#include <doctest/doctest.h>

#include "compress/allocation.hpp"

using namespace pare;

namespace {

double kept(const std::vector<Shape>& shapes, const std::vector<double>& densities) {
  double sum = 0;
  for (size_t i = 0; i < shapes.size(); ++i) sum += densities[i] * static_cast<double>(element_count(shapes[i]));
  return sum;
}

}  // namespace

TEST_CASE("allocation: ERK is proportional to the sum over the product of the dimensions") {
  const std::vector<Shape> shapes = {{64, 32, 3, 3}, {128, 64, 3, 3}};
  const std::vector<double> densities = erk_densities(shapes, 0.1);
  CHECK(densities[0] / densities[1] ==
        doctest::Approx(((64. + 32 + 3 + 3) / (64 * 32 * 9)) / ((128. + 64 + 3 + 3) / (128 * 64 * 9))));
  CHECK(kept(shapes, densities) == doctest::Approx(0.1 * (64 * 32 * 9 + 128 * 64 * 9)));
}

TEST_CASE("allocation: what would be above one is one, and the others share the rest") {
  const std::vector<Shape> shapes = {{10, 10}, {1000, 1000}};
  const std::vector<double> densities = erk_densities(shapes, 0.05);
  CHECK(densities[0] == 1);
  CHECK(kept(shapes, densities) == doctest::Approx(0.05 * 1'000'100));
  CHECK(erk_densities(shapes, 1) == std::vector<double>{1, 1});
  CHECK(erk_densities(shapes, 0) == std::vector<double>{0, 0});
}

TEST_CASE("allocation: densities share what each weight counts, as its blocks") {
  const std::vector<Shape> shapes = {{64, 64}, {32, 8}, {100, 10}};
  const std::vector<int64_t> blocks = {256, 40, 75};
  const std::vector<double> densities = erk_densities(shapes, 0.3, blocks);
  double kept = 0;
  for (size_t i = 0; i < blocks.size(); ++i) kept += densities[i] * static_cast<double>(blocks[i]);
  CHECK(kept == doctest::Approx(0.3 * 371));
  CHECK(densities[0] < densities[2]);
}
