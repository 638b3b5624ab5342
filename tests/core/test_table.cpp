#include <sstream>

#include <doctest/doctest.h>

#include "src/core/table.hpp"

namespace pare {

TEST_CASE("table: columns of numbers are right-aligned, texts left-aligned") {
  Table table({"layer", "parameters", "sparsity"});
  table.add({"conv1", "1,234", "0.00 %"});
  table.add({"fc", "7", "80.00 %"});
  CHECK(table.text() ==
        "layer  parameters  sparsity\n"
        "conv1       1,234    0.00 %\n"
        "fc              7   80.00 %\n");
}

TEST_CASE("table: a column with one text in it is a text column") {
  Table table({"a", "b"});
  table.add({"1", "12x3"});
  table.add({"22", "7"});
  CHECK(table.text() == " a  b\n 1  12x3\n22  7\n");
}

TEST_CASE("table: missing cells are empty and lines have no trailing spaces") {
  Table table({"name", "value", "note"});
  table.add({"x"});
  table.add({"y", "1", "z"});
  CHECK(table.text() == "name  value  note\nx\ny         1  z\n");
}

TEST_CASE("table: the widest text column gives way so that lines fit") {
  Table table({"name", "bytes"});
  table.add({std::string(200, 'n'), "123,456"});
  std::istringstream lines(table.text(40));
  for (std::string line; std::getline(lines, line);) CHECK(line.size() <= 40);
  CHECK(table.text(40).find("~  123,456\n") != std::string::npos);
}

TEST_CASE("table: widths count characters, not bytes") {
  Table table({"n", "x"});
  table.add({"\xC3\xA9\xC3\xA9", "1"});
  table.add({"abc", "2"});
  CHECK(table.text() == "n    x\n\xC3\xA9\xC3\xA9   1\nabc  2\n");
}

TEST_CASE("table: counts are grouped by thousands") {
  CHECK(count_text(0) == "0");
  CHECK(count_text(999) == "999");
  CHECK(count_text(1000) == "1,000");
  CHECK(count_text(1234567) == "1,234,567");
  CHECK(count_text(-1234) == "-1,234");
  CHECK(count_text(-999) == "-999");
}

TEST_CASE("table: sizes have a unit of powers of 1000") {
  CHECK(bytes_text(0) == "0 B");
  CHECK(bytes_text(999) == "999 B");
  CHECK(bytes_text(1000) == "1.0 KB");
  CHECK(bytes_text(999949) == "999.9 KB");
  CHECK(bytes_text(999960) == "1.0 MB");
  CHECK(bytes_text(4200000000) == "4.2 GB");
}

TEST_CASE("table: fractions and durations") {
  CHECK(percent_text(0.8) == "80.00 %");
  CHECK(percent_text(0.9191, 1) == "91.9 %");
  CHECK(duration_text(0.84) == "0.8 s");
  CHECK(duration_text(59.96) == "1 min 00 s");
  CHECK(duration_text(200) == "3 min 20 s");
  CHECK(duration_text(7500) == "2 h 05 min");
}

}  // namespace pare
