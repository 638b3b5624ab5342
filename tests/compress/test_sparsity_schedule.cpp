#include <doctest/doctest.h>

#include "compress/sparsity_schedule.hpp"

TEST_CASE("sparsity_schedule: cubic follows Zhu and Gupta between its ends") {
  const pare::SparsitySchedule schedule{"cubic", 0.2, 0.8, 10, 110, 10};
  CHECK(schedule.at(9) == 0.2);
  CHECK(schedule.at(60) == doctest::Approx(0.8 - 0.6 * 0.125));
  CHECK(schedule.at(110) == 0.8);
  CHECK_FALSE(schedule.due(9));
  CHECK(schedule.due(10));
  CHECK_FALSE(schedule.due(15));
  CHECK(schedule.due(110));
  CHECK_FALSE(schedule.due(120));
}

TEST_CASE("sparsity_schedule: the last step is due even off the interval") {
  const pare::SparsitySchedule schedule{"cubic", 0, 0.5, 0, 17, 5};
  CHECK(schedule.due(17));
  CHECK(schedule.at(17) == 0.5);
}

TEST_CASE("sparsity_schedule: one-shot prunes once") {
  const pare::SparsitySchedule schedule{"one-shot", 0, 0.5, 7, 50, 5};
  CHECK(schedule.at(6) == 0);
  CHECK(schedule.at(7) == 0.5);
  CHECK(schedule.due(7));
  CHECK_FALSE(schedule.due(12));
}
