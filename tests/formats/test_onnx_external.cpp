#include <cstring>
#include <filesystem>
#include <fstream>

#include <doctest/doctest.h>

#include "formats/model_io.hpp"
#include "src/core/error.hpp"
#include "tests/formats/onnx_parts.hpp"
#include "tests/formats/tiny_onnx.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace pare;
using namespace pare::test;

namespace {

namespace fs = std::filesystem;
using Entries = std::vector<std::pair<std::string, std::string>>;

// The one tensor of a model in the folder, float32 [2], with these entries.
Tensor read_external(const TemporaryFolder& folder, const Entries& entries) {
  const std::string bytes = model_part(graph_part(
      {{}, {external_part("w", DType::float32, {2}, entries)}, {}, {}, {port_part("w", DType::float32, {2})}}));
  return read_tensors(open_onnx(Bytes::own(bytes), folder.file("model.onnx"))).at(0).tensor;
}

std::string floats_text(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

// Resident memory of this process in bytes.
size_t resident() {
  std::ifstream file("/proc/self/statm");
  size_t total = 0, pages = 0;
  file >> total >> pages;
  return pages * 4096;
}

}  // namespace

TEST_CASE("onnx_external: offset, length and checksum") {
  const TemporaryFolder folder;
  write_whole(folder.file("w.bin"), "abcd" + floats_text({1, 2}) + "rest");
  const auto values = [&](const Entries& entries) { return to_double(read_external(folder, entries)); };
  CHECK(values({{"location", "w.bin"}, {"offset", "4"}}) == std::vector<double>{1, 2});
  CHECK(values({{"location", "w.bin"}, {"offset", "4"}, {"length", "8"}}) == std::vector<double>{1, 2});
  // sha1sum w.bin
  const Entries right = {
      {"location", "w.bin"}, {"offset", "4"}, {"checksum", "90C2BB6248D5315561D6BB1830A4BACCDD924A23"}};
  CHECK(values(right) == std::vector<double>{1, 2});
  CHECK_THROWS_WITH_AS(values({{"location", "w.bin"}, {"checksum", "00"}}), doctest::Contains("another checksum"),
                       Error);
  const auto refused = [&](const Entries& entries, const char* reason) {
    CHECK_THROWS_WITH_AS(values(entries), doctest::Contains(reason), Error);
  };
  refused({{"location", "w.bin"}, {"offset", "12"}}, "too short");
  refused({{"location", "w.bin"}, {"offset", "9223372036854775807"}}, "too short");
  refused({{"location", "w.bin"}, {"length", "4"}}, "length does not fit");
  refused({{"location", "w.bin"}, {"offset", "-4"}}, "not a size");
}

TEST_CASE("onnx_external: locations outside of the model's folder are refused") {
  const TemporaryFolder around;
  fs::create_directory(around.file("inside"));
  write_whole(around.file("secret"), floats_text({1, 2}));
  const TemporaryFolder folder;
  fs::create_symlink(around.file("secret"), folder.file("link"));
  fs::create_directory_symlink(around.file("inside"), folder.file("door"));
  write_whole(around.file("inside/w.bin"), floats_text({1, 2}));
  for (const std::string& location :
       {std::string("../secret"), std::string("a/../../secret"), around.file("secret"), std::string("link"),
        std::string("door/w.bin"), std::string(""), std::string("/dev/zero"), std::string(".")}) {
    CAPTURE(location);
    try {
      read_external(folder, {{"location", location}});
      FAIL("not refused");
    } catch (const Error& error) {
      CHECK(error.code() == ExitCode::bad_input);
    }
  }
  write_whole(folder.file("w.bin"), floats_text({3, 4}));
  fs::create_symlink("w.bin", folder.file("near"));
  CHECK(to_double(read_external(folder, {{"location", "near"}})) == std::vector<double>{3, 4});
}

TEST_CASE("onnx_external: a file over 4 GB is mapped, not read") {
  const TemporaryFolder folder;
  const int64_t elements = int64_t{5} << 28;  // 5 GB, a hole but for the end
  {
    std::ofstream file(folder.file("w.bin"), std::ios::binary);
    file.seekp(elements * 4 - 4);
    file << floats_text({9});
  }
  const std::string bytes =
      model_part(graph_part({{},
                             {external_part("w", DType::float32, {elements}, {{"location", "w.bin"}})},
                             {},
                             {},
                             {port_part("w", DType::float32, {elements})}}));
  const size_t before = resident();
  const OnnxModel model = open_onnx(Bytes::own(bytes), folder.file("model.onnx"));
  const Graph graph = read_graph(model);
  const Tensor& tensor = graph.value(graph.find("w")).constant.value();
  float last = 0;
  std::memcpy(&last, tensor.data.data() + tensor.data.size() - sizeof last, sizeof last);
  CHECK(last == 9);
  CHECK(external_bytes(model) == static_cast<size_t>(elements) * 4);
  CHECK(resident() < before + (size_t{64} << 20));
}

TEST_CASE("onnx_external: a model over the limit is written with its data beside it") {
  const TemporaryFolder folder;
  const auto big = sparse_tensor<float>("big", DType::float32, {100, 30}, 1);
  const auto small = sparse_tensor<float>("small", DType::float32, {4}, 1);
  const Model model = model_of(model_message({small, big}, {{"key", "value"}}));
  save_onnx(model.onnx, {{"added", "1"}}, folder.file("inline.onnx"), 1 << 20);
  CHECK(folder.entries() == 1);
  save_onnx(model.onnx, {{"added", "1"}}, folder.file("model.onnx"), 1000);
  CHECK(folder.entries() == 3);
  CHECK(fs::file_size(folder.file("model.onnx")) < 1000);
  CHECK(fs::file_size(folder.file("model.onnx.data")) == 12000);
  const OnnxModel again = open_onnx(map_file(folder.file("model.onnx")), folder.file("model.onnx"));
  CHECK(again.metadata == std::map<std::string, std::string>{{"added", "1"}, {"key", "value"}});
  const auto tensors = read_tensors(again);
  REQUIRE(tensors.size() == 2);
  CHECK(tensors[0].tensor.data.text() == big.tensor.data.text());
  CHECK(load_model(folder.file("model.onnx")).file_bytes == fs::file_size(folder.file("model.onnx")) + 12000);
  // Back under the limit, the file stands alone again.
  save_onnx(again, {}, folder.file("alone.onnx"), 1 << 20);
  CHECK(folder.entries() == 4);
  CHECK(read_tensors(open_onnx(map_file(folder.file("alone.onnx")), ""))[0].tensor.data.text() ==
        big.tensor.data.text());
}
