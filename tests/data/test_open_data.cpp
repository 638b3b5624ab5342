#include <doctest/doctest.h>

#include "src/data/open_data.hpp"
#include "tests/data/data_files.hpp"

namespace pare {
namespace {

using test::failure_of;

TEST_CASE("open_data: an IDX folder is recognised, and opened by its name too") {
  const test::TemporaryFolder folder;
  folder.write("train-images-idx3-ubyte", test::idx_bytes(0x08, {1, 2, 2}, "abcd"));
  CHECK(open_data(folder.path(), {"auto", "train", false, {}})->size() == 1);
  CHECK(open_data(folder.path(), {"idx", "train", false, {}})->size() == 1);
}

TEST_CASE("open_data: a missing path and an unknown kind are usage errors") {
  const test::TemporaryFolder folder;
  CHECK(failure_of([&] { open_data(folder.path() + "/none", {"auto", "train", false, {}}); }).code == ExitCode::usage);
  const test::Failure failure = failure_of([&] { open_data(folder.path(), {"idxx", "train", false, {}}); });
  CHECK(failure.code == ExitCode::usage);
  CHECK(failure.mentions("expected one of: auto, idx"));
  CHECK(failure.mentions("did you mean 'idx'"));
}

TEST_CASE("open_data: what fits no kind names what was looked for") {
  const test::TemporaryFolder folder;
  const std::string file = folder.write("notes.txt", "hello");
  for (const std::string& path : {folder.path(), file}) {
    const test::Failure failure = failure_of([&] { open_data(path, {"auto", "train", false, {}}); });
    CHECK(failure.code == ExitCode::bad_input);
    CHECK(failure.mentions(path));
    CHECK(failure.mentions("train-images-idx3-ubyte"));
  }
}

}  // namespace
}  // namespace pare
