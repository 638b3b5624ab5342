#include <doctest/doctest.h>

#include "compress/importance.hpp"
#include "src/core/error.hpp"

TEST_CASE("importance: names find their method, others are refused with the nearest") {
  CHECK(pare::find_importance("fisher").importance == pare::kernels::Importance::fisher);
  CHECK(pare::find_importance("magnitude").source == pare::ScoreSource::weights);
  CHECK(pare::find_importance("wanda").source == pare::ScoreSource::activations);
  try {
    pare::find_importance("tailor");
    FAIL("expected an error");
  } catch (const pare::Error& error) {
    CHECK(error.code() == pare::ExitCode::usage);
    CHECK(std::string(error.what()).find("taylor") != std::string::npos);
  }
}
