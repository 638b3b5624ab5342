#include <doctest/doctest.h>

#include "compress/pattern.hpp"
#include "src/core/error.hpp"

using pare::parse_pattern;
using pare::Pattern;

TEST_CASE("pattern: weight, N:M and blocks") {
  CHECK(parse_pattern("weight").kind == Pattern::Kind::weight);
  const Pattern neighbours = parse_pattern("2:4");
  CHECK(neighbours.kind == Pattern::Kind::n_of_m);
  CHECK(neighbours.sparsity() == 0.5);
  CHECK(parse_pattern("31:32").m == 32);
  const Pattern block = parse_pattern("block:4x1");
  CHECK(block.kind == Pattern::Kind::block);
  CHECK(block.rows == 4);
  CHECK(block.columns == 1);
}

TEST_CASE("pattern: what is none is refused with what is expected") {
  for (const char* text : {"", "weights", "4:2", "2:2", "0:4", "2:33", "-1:4", "2:4x", "block:", "block:0x4", "block:4",
                           "block:1x1", "block:5000x1", "block:2x-2", "2:", ":4", "99999999999999999999:4"}) {
    CAPTURE(text);
    try {
      parse_pattern(text);
      FAIL("expected an error");
    } catch (const pare::Error& error) {
      CHECK(error.code() == pare::ExitCode::usage);
      CHECK(std::string(error.what()).find("expected") != std::string::npos);
    }
  }
}
