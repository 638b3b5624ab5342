#include <doctest/doctest.h>

#include "formats/hdf5_file.hpp"
#include "src/core/error.hpp"
#include "tests/support/temporary_folder.hpp"

namespace pare {
namespace {

ByteRope rope_of(const std::vector<std::string>& pieces) {
  ByteRope rope;
  for (const std::string& piece : pieces) rope.append(piece);
  return rope;
}

void write(Hdf5File file, const std::string& path) {
  AtomicFile target(path);
  file.write_to(target);
  target.commit();
}

Hdf5File example() {
  Hdf5File file = Hdf5File::create(3);
  file.root().set_attribute("kind", "example");
  file.root().set_attribute("negative", int64_t{-7});
  file.root().set_attribute("empty", "");
  file.root().write_text("note", "größer");
  file.root().create_group("inner", 1).write_bytes("blob", rope_of({"abc", std::string(3, '\0'), "def"}));
  return file;
}

}  // namespace

TEST_CASE("hdf5_file: attributes, texts and blobs in groups come back as they were written") {
  const test::TemporaryFolder folder;
  write(example(), folder.file("a.h5"));
  const Hdf5Group root = Hdf5File::open(folder.file("a.h5")).root();
  CHECK(root.attribute("kind") == "example");
  CHECK(root.integer_attribute("negative") == -7);
  CHECK(root.attribute("empty").empty());
  CHECK(root.read_text("note") == "größer");
  CHECK(root.read_bytes("inner/blob").text() == std::string("abc\0\0\0def", 9));
  CHECK(root.has("note"));
  CHECK_FALSE(root.has("nothing"));
  CHECK(root.has_attribute("kind"));
  CHECK_FALSE(root.has_attribute("note"));
}

TEST_CASE("hdf5_file: blobs of no bytes and of more than the library's compact limit come back") {
  const test::TemporaryFolder folder;
  const std::string long_text(200'000, 'x');
  Hdf5File file = Hdf5File::create(3);
  file.root().write_bytes("none", {});
  file.root().write_bytes("long", rope_of({long_text, long_text}));
  file.root().write_text("text", long_text);
  write(std::move(file), folder.file("a.h5"));
  const Hdf5Group root = Hdf5File::open(folder.file("a.h5")).root();
  CHECK(root.read_bytes("none").size() == 0);
  CHECK(root.read_bytes("long").text() == long_text + long_text);
  CHECK(root.read_text("text") == long_text);
}

TEST_CASE("hdf5_file: equal content gives equal bytes") {
  const test::TemporaryFolder folder;
  write(example(), folder.file("a.h5"));
  write(example(), folder.file("b.h5"));
  CHECK(read_file(folder.file("a.h5")) == read_file(folder.file("b.h5")));
}

TEST_CASE("hdf5_file: what is missing or of another kind is an error of the input that names it") {
  const test::TemporaryFolder folder;
  write(example(), folder.file("a.h5"));
  const Hdf5Group root = Hdf5File::open(folder.file("a.h5")).root();
  const auto message = [](const auto& body) -> std::string {
    try {
      body();
    } catch (const Error& error) {
      CHECK(error.code() == ExitCode::bad_input);
      return error.what();
    }
    return "no error";
  };
  CHECK(message([&] { root.attribute("colour"); }).starts_with("attribute 'colour': "));
  CHECK(message([&] { root.attribute("negative"); }).starts_with("attribute 'negative': is not text"));
  CHECK(message([&] { root.integer_attribute("kind"); }) == "attribute 'kind': is not an integer");
  CHECK(message([&] { root.read_bytes("nothing"); }).starts_with("dataset 'nothing': "));
  CHECK(message([&] { root.read_bytes("inner"); }).starts_with("dataset 'inner': "));
  CHECK(message([&] { root.read_bytes("note"); }).starts_with("dataset 'note': is not a one-dimensional"));
  CHECK(message([&] { root.read_text("inner/blob"); }).starts_with("dataset 'inner/blob': is not text"));
  CHECK(message([&] { root.read_table("inner/blob"); }) == "dataset 'inner/blob': is not a table");
}

TEST_CASE("hdf5_file: a missing file is a usage error, one of another format an input error") {
  const test::TemporaryFolder folder;
  const auto code = [](const std::string& path) {
    try {
      Hdf5File::open(path);
    } catch (const Error& error) {
      return error.code();
    }
    return ExitCode::ok;
  };
  CHECK(code(folder.file("missing.h5")) == ExitCode::usage);
  test::write_whole(folder.file("other.h5"), "this is text");
  CHECK(code(folder.file("other.h5")) == ExitCode::bad_input);
  test::write_whole(folder.file("empty.h5"), "");
  CHECK(code(folder.file("empty.h5")) == ExitCode::bad_input);
}

TEST_CASE("hdf5_file: a file that is never written leaves nothing behind") {
  const Hdf5Group survivor = example().root();
  CHECK_FALSE(survivor.has("note"));
}

}  // namespace pare
