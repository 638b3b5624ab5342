#include <csignal>

#include <doctest/doctest.h>
#include <sys/resource.h>

#include "formats/model_io.hpp"
#include "src/core/error.hpp"
#include "tests/formats/tiny_onnx.hpp"
#include "tests/support/temporary_folder.hpp"

namespace pare {
namespace {

std::vector<NamedTensor> one_tensor() { return {test::sparse_tensor<float>("w", DType::float32, {100, 100}, 3)}; }

// No file can grow beyond `bytes` while this lives: writing fails as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int) = nullptr;
};

template <class Body>
std::pair<ExitCode, std::string> error_of(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  return {ExitCode::ok, ""};
}

}  // namespace

TEST_CASE("model_io: the extension picks the format, in any case of letters") {
  CHECK(std::string(format_of("a/b.onnx").name) == "onnx");
  CHECK(std::string(format_of("B.ONNX").name) == "onnx");
  CHECK(std::string(format_of("model.v2.h5").name) == "hdf5");
  CHECK(std::string(format_of("x.Hdf5").name) == "hdf5");
}

TEST_CASE("model_io: an unknown extension is a usage error that names the known ones") {
  for (const char* path : {"model.pt", "model", "onnx", ".h5"}) {
    const auto [code, message] = error_of([&] { format_of(path); });
    CHECK(code == ExitCode::usage);
    CHECK(message.find(".onnx, .h5, .hdf5") != std::string::npos);
  }
}

TEST_CASE("model_io: save tells size and hash of the written file, and load tells the same") {
  const test::TemporaryFolder folder;
  const Model model = test::model_of(test::model_message(one_tensor()));
  for (const char* name : {"m.onnx", "m.h5", "m.hdf5"}) {
    const WrittenFile written = save_model(model, folder.file(name));
    const std::string bytes = read_file(folder.file(name));
    CHECK(written.bytes == bytes.size());
    CHECK(written.sha256 == sha256_hex(std::as_bytes(std::span(bytes))));
    const Model loaded = load_model(folder.file(name));
    CHECK(loaded.sha256 == written.sha256);
    CHECK(loaded.file_bytes == written.bytes);
    CHECK(loaded.format == written.format);
    CHECK(loaded.path == folder.file(name));
    CHECK(loaded.onnx.bytes.text() == model.onnx.bytes.text());
  }
  CHECK(folder.entries() == 3);
}

TEST_CASE("model_io: a model that was only read is written byte for byte as it was") {
  const test::TemporaryFolder folder;
  for (const std::map<std::string, std::string>& metadata :
       {std::map<std::string, std::string>{}, {{"pare.lineage", "[ {\"command\":\"prune\"} ]"}, {"zone", "z"}}}) {
    const std::string onnx = test::model_message(one_tensor(), metadata);
    test::write_whole(folder.file("in.onnx"), onnx);
    save_model(load_model(folder.file("in.onnx")), folder.file("out.onnx"));
    CHECK(read_file(folder.file("out.onnx")) == onnx);
  }
}

TEST_CASE("model_io: lineage and masked tensors travel through ONNX metadata, and can be taken back") {
  const test::TemporaryFolder folder;
  Model model = test::model_of(test::model_message(one_tensor()));
  model.lineage = {{{"command", "prune"}, {"seed", 1}}};
  model.masked = {"w", "a\nb", "quote\""};
  save_model(model, folder.file("a.onnx"));
  Model loaded = load_model(folder.file("a.onnx"));
  CHECK(loaded.lineage == model.lineage);
  CHECK(loaded.masked == model.masked);
  loaded.masked.clear();
  save_model(loaded, folder.file("b.onnx"));
  CHECK(load_model(folder.file("b.onnx")).masked.empty());
  CHECK(load_model(folder.file("b.onnx")).lineage == model.lineage);
}

TEST_CASE("model_io: metadata under our keys that we did not write is an input error that names the key") {
  const test::TemporaryFolder folder;
  for (const char* key : {"pare.lineage", "pare.mask"}) {
    for (const char* value : {"{", "7", ""}) {
      test::write_whole(folder.file("a.onnx"), test::model_message({}, {{key, value}}));
      const auto [code, message] = error_of([&] { load_model(folder.file("a.onnx")); });
      CHECK(code == ExitCode::bad_input);
      CHECK(message.starts_with(folder.file("a.onnx") + ": metadata '" + key + "': "));
    }
  }
}

TEST_CASE("model_io: a missing file is a usage error, a damaged one an input error, both with the path") {
  const test::TemporaryFolder folder;
  for (const char* name : {"a.onnx", "a.h5"}) {
    CHECK(error_of([&] { load_model(folder.file(name)); }).first == ExitCode::usage);
    test::write_whole(folder.file(name), "\x89HDF and then nothing");
    const auto [code, message] = error_of([&] { load_model(folder.file(name)); });
    CHECK(code == ExitCode::bad_input);
    CHECK(message.starts_with(folder.file(name) + ": not an "));
  }
}

TEST_CASE("model_io: a full disk leaves the old file and nothing else") {
  const test::TemporaryFolder folder;
  const Model model = test::model_of(test::model_message(one_tensor()));
  for (const char* name : {"m.onnx", "m.h5"}) {
    test::write_whole(folder.file(name), "old");
    for (const rlim_t room : {rlim_t{0}, rlim_t{100}, rlim_t{5000}}) {
      std::pair<ExitCode, std::string> error;
      {
        const FileSizeLimit limit(room);
        error = error_of([&] { save_model(model, folder.file(name)); });
      }
      CHECK(error.first == ExitCode::failure);
      CHECK(error.second.find("cannot be written (File too large)") != std::string::npos);
      CHECK(read_file(folder.file(name)) == "old");
    }
  }
  CHECK(folder.entries() == 2);
}

}  // namespace pare
