#include <random>

#include <doctest/doctest.h>

#include "formats/hdf5_model.hpp"
#include "src/core/error.hpp"
#include "tests/formats/tiny_onnx.hpp"
#include "tests/support/temporary_folder.hpp"

// HDF5 1.10 itself loses some memory when it refuses a damaged file.
extern "C" const char* __lsan_default_suppressions() { return "leak:libhdf5"; }

namespace pare {
namespace {

std::vector<NamedTensor> example_tensors() {
  return {
      test::sparse_tensor<float>("weight", DType::float32, {3, 31, 11}, 6),
      test::sparse_tensor<float>("bias", DType::float32, {16}, 1),
      test::sparse_tensor<int64_t>("shape", DType::int64, {4}, 1),
      {"empty", Tensor::of<float>(DType::float32, {0}, {})},
      test::sparse_tensor<uint16_t>("half", DType::float16, {1023}, 2),
      {"int4", {DType::int4, {199}, Bytes::own(std::string(100, '\x5a'))}},
      {"scalar", Tensor::of<float>(DType::float32, {}, {0.5f})},
      test::sparse_tensor<uint8_t>("flags", DType::boolean, {9, 9}, 4),
  };
}

std::string saved(const Model& model) {
  const test::TemporaryFolder folder;
  save_hdf5_model(model, folder.file("model.h5"));
  return read_file(folder.file("model.h5"));
}

// Loads `bytes` as a file; the error's message, or "" when it loads with the ONNX bytes `expected`.
std::string load_error(const test::TemporaryFolder& folder, const std::string& bytes, const std::string& expected) {
  test::write_whole(folder.file("model.h5"), bytes);
  std::string loaded;
  try {
    loaded = load_hdf5_model(folder.file("model.h5")).onnx.bytes.text();
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::bad_input);
    return error.what();
  }
  CHECK(loaded == expected);
  return "";
}

}  // namespace

TEST_CASE("hdf5_model: gives the ONNX back byte for byte") {
  const test::TemporaryFolder folder;
  const std::map<std::string, std::string> foreign = {{"author", "someone"}};
  const std::map<std::string, std::string> ours_first = {
      {"pare.lineage", "[ 1 ]"}, {"pare.mask", "[\"weight\"]"}, {"zone", "z"}};
  for (const std::string& onnx : {test::model_message(example_tensors()), test::model_message({}),
                                  test::model_message(example_tensors(), foreign, "a doc string after the data"),
                                  test::model_message(example_tensors(), ours_first)}) {
    save_hdf5_model(test::model_of(onnx), folder.file("a.h5"));
    CHECK(load_hdf5_model(folder.file("a.h5")).onnx.bytes.text() == onnx);
  }
}

TEST_CASE("hdf5_model: lineage and masks travel, as the ONNX metadata of a file written as ONNX") {
  Model model = test::model_of(test::model_message(example_tensors(), {{"author", "someone"}}));
  model.lineage = {{{"command", "prune"}, {"sparsity", 0.8}}};
  model.masked = {"weight", "name with\nnewline"};
  const test::TemporaryFolder folder;
  save_hdf5_model(model, folder.file("a.h5"));
  const Model loaded = load_hdf5_model(folder.file("a.h5"));
  CHECK(loaded.lineage == model.lineage);
  CHECK(loaded.masked == model.masked);
  save_model(model, folder.file("a.onnx"));
  CHECK(loaded.onnx.bytes.text() == read_file(folder.file("a.onnx")));
  save_hdf5_model(loaded, folder.file("b.h5"));
  CHECK(read_file(folder.file("b.h5")) == read_file(folder.file("a.h5")));
  save_hdf5_model(model, folder.file("c.h5"), {true});
  const Model small = load_hdf5_model(folder.file("c.h5"));
  CHECK(small.lineage == model.lineage);
  CHECK(small.masked == model.masked);
  CHECK((small.onnx.bytes.text() == loaded.onnx.bytes.text()));
}

TEST_CASE("hdf5_model: the same model gives the same bytes") {
  const Model model = test::model_of(test::model_message(example_tensors()));
  CHECK(saved(model) == saved(model));
}

TEST_CASE("hdf5_model: the container costs at most 3 KB over its payload for 27 tensors with names of 20 letters") {
  std::vector<NamedTensor> tensors;
  size_t payload = 0;
  for (int i = 0; i < 27; ++i) {
    std::vector<float> values(16 * 16 * 3 * 3);
    for (size_t e = 0; e < values.size(); ++e)
      values[e] = 1.0f / static_cast<float>(e * 27 + static_cast<size_t>(i) + 1);
    tensors.push_back({fmt::format("stage_{:02}.conv.weight", i), Tensor::of(DType::float32, {16, 16, 3, 3}, values)});
    payload += tensors.back().tensor.data.size();
  }
  const std::string onnx = test::model_message(tensors);
  const size_t size = saved(test::model_of(onnx)).size();
  MESSAGE("container and graph: ", size - payload, " bytes over the tensors");
  CHECK(size >= payload);
  CHECK(size <= payload + 3072);
}

TEST_CASE("hdf5_model: a file cut at any length is an error") {
  const std::string onnx = test::model_message(example_tensors());
  const std::string bytes = saved(test::model_of(onnx));
  const test::TemporaryFolder folder;
  for (size_t length = 0; length < bytes.size(); length += length < 512 || length + 64 > bytes.size() ? 1 : 7) {
    CAPTURE(length);
    CHECK(load_error(folder, bytes.substr(0, length), onnx) != "");
  }
  CHECK(load_error(folder, bytes, onnx) == "");
}

TEST_CASE("hdf5_model: a changed byte anywhere is an error, or a byte that means nothing") {
  Model model = test::model_of(test::model_message(example_tensors()));
  model.lineage = {{{"command", "prune"}}};
  const test::TemporaryFolder folder;
  save_model(model, folder.file("a.onnx"));
  const std::string onnx = read_file(folder.file("a.onnx"));
  const std::string bytes = saved(model);
  std::mt19937 random(7);
  size_t unnoticed = 0;
  for (size_t at = 0; at < bytes.size(); at += 1 + random() % 5) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 + random() % 255));
    CAPTURE(at);
    unnoticed += load_error(folder, damaged, onnx).empty() ? 1 : 0;
  }
  CHECK(unnoticed <= 8);
}

TEST_CASE("hdf5_model: a damaged tensor is named") {
  const std::vector<NamedTensor> tensors = example_tensors();
  const std::string onnx = test::model_message(tensors);
  std::string bytes = saved(test::model_of(onnx));
  const size_t at = bytes.find(tensors[1].tensor.data.text());
  REQUIRE(at != std::string::npos);
  bytes[at + 10] ^= 1;
  const test::TemporaryFolder folder;
  CHECK(load_error(folder, bytes, onnx).starts_with("tensor 'bias': damaged"));
}

TEST_CASE("hdf5_model: a graph that was changed is found") {
  const std::string onnx = test::model_message({});  // too small to be deflated
  std::string bytes = saved(test::model_of(onnx));
  const size_t at = bytes.find("tiny");
  REQUIRE(at != std::string::npos);
  bytes[at] = 'T';
  const test::TemporaryFolder folder;
  CHECK(load_error(folder, bytes, onnx).starts_with("dataset 'graph': "));
}

}  // namespace pare
