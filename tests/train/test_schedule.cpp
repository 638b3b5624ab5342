#include <doctest/doctest.h>

#include "src/train/schedule.hpp"

TEST_CASE("schedule: warm-up rises to the peak, cosine falls to zero") {
  const pare::LearningRate rate{1.0, "cosine", 3, 103};
  CHECK(rate.at(0) == doctest::Approx(0.25));
  CHECK(rate.at(2) == doctest::Approx(0.75));
  CHECK(rate.at(3) == doctest::Approx(1.0));
  CHECK(rate.at(53) == doctest::Approx(0.5));
  CHECK(rate.at(103) == doctest::Approx(0.0));
}

TEST_CASE("schedule: step divides by ten after a half and after three quarters") {
  const pare::LearningRate rate{1.0, "step", 0, 100};
  CHECK(rate.at(49) == 1.0);
  CHECK(rate.at(50) == 0.1);
  CHECK(rate.at(75) == 0.01);
}
