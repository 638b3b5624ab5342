#include <vector>

#include <doctest/doctest.h>

#include "compress/sparsity_schedule.hpp"
#include "src/core/error.hpp"

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

TEST_CASE("sparsity_schedule: linear rises evenly, exponential keeps the same share of what is left") {
  const pare::SparsitySchedule linear{"linear", 0.1, 0.9, 0, 100, 10};
  CHECK(linear.at(25) == doctest::Approx(0.3));
  CHECK(linear.at(100) == 0.9);
  const pare::SparsitySchedule exponential{"exponential", 0, 0.99, 0, 100, 10};
  CHECK(exponential.at(50) == doctest::Approx(0.9));
  CHECK(exponential.at(100) == 0.99);
}

TEST_CASE("sparsity_schedule: iterative prunes N times, the last time to the target") {
  pare::SparsitySchedule schedule = pare::parse_schedule("iterative:3");
  schedule.target = 0.999;
  schedule.first_step = 10;
  schedule.last_step = 39;
  std::vector<double> levels;
  for (int64_t step = 0; step < 60; ++step)
    if (schedule.due(step)) levels.push_back(schedule.at(step));
  REQUIRE(levels.size() == 3);
  CHECK(levels[0] == doctest::Approx(0.9));
  CHECK(levels[1] == doctest::Approx(0.99));
  CHECK(levels[2] == 0.999);
}

TEST_CASE("sparsity_schedule: more rounds than steps still end at the target") {
  pare::SparsitySchedule schedule = pare::parse_schedule("iterative:100");
  schedule.target = 0.5;
  schedule.last_step = 4;
  CHECK(schedule.due(4));
  CHECK(schedule.at(4) == 0.5);
}

TEST_CASE("sparsity_schedule: with exchange, every interval up to the last step is due") {
  const pare::SparsitySchedule schedule{"one-shot", 0, 0.5, 10, 50, 20};
  CHECK_FALSE(schedule.due(30));
  CHECK(schedule.due(30, true));
  CHECK(schedule.due(50, true));
  CHECK_FALSE(schedule.due(70, true));
  CHECK(schedule.progress(30) == 0.5);
}

TEST_CASE("sparsity_schedule: what is no schedule is refused") {
  for (const char* text : {"", "cubik", "iterative", "iterative:", "iterative:0", "iterative:-1", "iterative:2x"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(pare::parse_schedule(text), pare::Error);
  }
}
