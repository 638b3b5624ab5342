#include <doctest/doctest.h>

#include "formats/hdf5_file.hpp"
#include "src/core/error.hpp"
#include "tests/support/temporary_folder.hpp"

namespace pare {
namespace {

using Texts = std::vector<std::string>;
using Integers = std::vector<int64_t>;

Hdf5Table written_and_read(const Hdf5Table& table) {
  const test::TemporaryFolder folder;
  Hdf5File file = Hdf5File::create(1);
  file.root().write_table("table", table);
  AtomicFile target(folder.file("a.h5"));
  file.write_to(target);
  target.commit();
  return Hdf5File::open(folder.file("a.h5")).root().read_table("table");
}

}  // namespace

TEST_CASE("hdf5_table: integers of every range come back") {
  const std::vector<Integers> ranges = {{0, 255},
                                        {-128, 127},
                                        {0, 65535},
                                        {-32768, 32767},
                                        {0, 4294967295},
                                        {-2147483648, 2147483647},
                                        {INT64_MIN, INT64_MAX},
                                        {-1, 255}};
  Hdf5Table table(2);
  for (size_t i = 0; i < ranges.size(); ++i) table.add(fmt::format("column {}", i), ranges[i]);
  const Hdf5Table read = written_and_read(table);
  REQUIRE(read.rows() == 2);
  for (size_t i = 0; i < ranges.size(); ++i) CHECK(read.integers(fmt::format("column {}", i)) == ranges[i]);
}

TEST_CASE("hdf5_table: texts and arrays come back, and enough rows for any storage") {
  for (const size_t rows : {0u, 1u, 3u, 5000u}) {
    Texts texts;
    Integers pairs;
    for (size_t row = 0; row < rows; ++row) {
      texts.push_back(std::string(row % 20, 'a') + "\n\"é");
      pairs.push_back(static_cast<int64_t>(row));
      pairs.push_back(-1);
    }
    Hdf5Table table(rows);
    table.add("text", texts);
    table.add("pair", pairs, 2);
    const Hdf5Table read = written_and_read(table);
    CHECK(read.rows() == rows);
    CHECK(read.texts("text") == texts);
    CHECK(read.integers("pair") == pairs);
    CHECK(read.width("pair") == 2);
  }
}

TEST_CASE("hdf5_table: a column that is missing or of another kind is an error that names it") {
  Hdf5Table table(1);
  table.add("number", Integers{1});
  table.add("word", Texts{"x"});
  CHECK_THROWS_WITH_AS(table.integers("size"), "column 'size': is missing", Error);
  CHECK_THROWS_WITH_AS(table.integers("word"), "column 'word': holds text (expected integers)", Error);
  CHECK_THROWS_WITH_AS(table.texts("number"), "column 'number': holds integers (expected text)", Error);
}

}  // namespace pare
