#include <fstream>
#include <functional>

#include <doctest/doctest.h>

#include "src/core/error.hpp"
#include "src/core/files.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace pare;

namespace {

ExitCode code_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.code();
  }
  return ExitCode::ok;
}

}  // namespace

TEST_CASE("files: SHA-256 of the FIPS 180-4 examples") {
  const auto hash = [](std::string text) { return sha256_hex(Bytes::own(std::move(text)).span()); };
  CHECK(hash("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(hash("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST_CASE("files: an atomic file appears on commit, and leaves nothing without one") {
  const test::TemporaryFolder folder;
  {
    AtomicFile file(folder.file("a"));
    file.write("half");
  }
  CHECK(folder.entries() == 0);
  AtomicFile file(folder.file("a"));
  file.write("whole");
  CHECK(code_of([&] { map_file(folder.file("a")); }) == ExitCode::usage);
  file.commit();
  CHECK(read_file(folder.file("a")) == "whole");
  CHECK(map_file(folder.file("a")).text() == "whole");
  CHECK(folder.entries() == 1);
}

TEST_CASE("files: outputs are checked before work") {
  const test::TemporaryFolder folder;
  std::ofstream(folder.file("taken")) << "x";
  CHECK(code_of([&] { check_output(folder.file("taken"), false); }) == ExitCode::usage);
  CHECK(code_of([&] { check_output(folder.file("taken"), true); }) == ExitCode::ok);
  CHECK(code_of([&] { check_output(folder.file("new"), false); }) == ExitCode::ok);
  CHECK(code_of([&] { check_output(folder.file("no/where"), false); }) == ExitCode::usage);
  CHECK(code_of([&] { check_output(folder.file(""), true); }) == ExitCode::usage);
}

TEST_CASE("files: missing files and folders are usage errors, empty files are empty") {
  const test::TemporaryFolder folder;
  CHECK(code_of([&] { map_file(folder.file("missing")); }) == ExitCode::usage);
  CHECK(code_of([&] { map_file(folder.file("")); }) == ExitCode::usage);
  std::ofstream(folder.file("empty")).flush();
  CHECK(map_file(folder.file("empty")).size() == 0);
}
