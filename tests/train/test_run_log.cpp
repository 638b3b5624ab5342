#include <doctest/doctest.h>

#include "src/core/files.hpp"
#include "src/train/run_log.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace pare;

TEST_CASE("run_log: a resumed run drops the rows that it will write again, and a line that was cut off") {
  const test::TemporaryFolder folder;
  const std::string path = folder.file("log.jsonl");
  {
    RunLog log(path, 0);
    for (int step = 10; step <= 30; step += 10) log.add({{"step", step}});
  }
  RunLog(path, 20).add({{"step", 25}});
  CHECK(read_file(path) == "{\"step\":10}\n{\"step\":20}\n{\"step\":25}\n");
  AtomicFile cut(path);
  cut.write("{\"step\":10}\n{\"st");
  cut.commit();
  RunLog(path, 20).add({{"step", 21}});
  CHECK(read_file(path) == "{\"step\":10}\n{\"step\":21}\n");
  RunLog again(path, 0);
  CHECK(read_file(path).empty());
}
