#include <protozero/pbf_writer.hpp>

#include <doctest/doctest.h>

#include "formats/onnx_model.hpp"
#include "src/core/error.hpp"
#include "src/core/random.hpp"
#include "tests/formats/tiny_onnx.hpp"

using namespace pare;

namespace {

std::string value_info(const std::string& name, const std::vector<int64_t>& shape) {
  std::string dims;
  protozero::pbf_writer shape_writer(dims);
  for (const int64_t size : shape) {
    std::string dim;
    protozero::pbf_writer writer(dim);
    if (size >= 0) writer.add_int64(1, size);
    else writer.add_string(2, "N");
    shape_writer.add_message(1, dim);
  }
  std::string tensor, type, info;
  protozero::pbf_writer tensor_writer(tensor);
  tensor_writer.add_int32(1, 1);
  tensor_writer.add_message(2, dims);
  protozero::pbf_writer(type).add_message(1, tensor);
  protozero::pbf_writer writer(info);
  writer.add_string(1, name);
  writer.add_message(2, type);
  return info;
}

// x [N,2] -> MatMul with w [2,3] -> Clip by attributes (opset 7 form) -> y.
std::string old_model() {
  std::string clip_limit;
  protozero::pbf_writer limit_writer(clip_limit);
  limit_writer.add_string(1, "max");
  limit_writer.add_float(2, 6.0f);
  std::string product, clip;
  protozero::pbf_writer product_writer(product);
  product_writer.add_string(1, "x");
  product_writer.add_string(1, "w");
  product_writer.add_string(2, "p");
  product_writer.add_string(4, "MatMul");
  protozero::pbf_writer clip_writer(clip);
  clip_writer.add_string(1, "p");
  clip_writer.add_string(2, "y");
  clip_writer.add_string(4, "Clip");
  clip_writer.add_message(5, clip_limit);
  const std::vector<float> weights{1, 2, 3, 4, 5, 6};
  std::string graph, opset, model;
  protozero::pbf_writer graph_writer(graph);
  graph_writer.add_message(1, product);
  graph_writer.add_message(1, clip);
  graph_writer.add_message(5, test::tensor_message({"w", Tensor::of(DType::float32, {2, 3}, weights)}));
  graph_writer.add_message(11, value_info("x", {-1, 2}));
  graph_writer.add_message(11, value_info("w", {2, 3}));
  graph_writer.add_message(12, value_info("y", {-1, 3}));
  protozero::pbf_writer(opset).add_int64(2, 7);
  protozero::pbf_writer writer(model);
  writer.add_int64(1, 3);
  writer.add_message(7, graph);
  writer.add_message(8, opset);
  return model;
}

Graph graph_of(const std::string& bytes) { return read_graph(open_onnx(Bytes::own(bytes), "")); }

}  // namespace

TEST_CASE("onnx_graph: initializers listed as inputs are constants, attributes of old opsets become inputs") {
  const Graph graph = graph_of(old_model());
  REQUIRE(graph.inputs.size() == 1);
  CHECK(graph.value(graph.inputs[0].value).name == "x");
  CHECK(graph.inputs[0].dims[0].symbol == "N");
  CHECK(graph.inputs[0].dims[1].size == 2);
  CHECK(to_double(graph.value(graph.find("w")).constant.value()).at(5) == 6.0);
  REQUIRE(graph.nodes.size() == 2);
  const Node& clip = graph.nodes[1];
  CHECK(clip.name == "Clip_1");
  CHECK(clip.attributes.empty());
  CHECK(clip.input(1) == no_value);
  CHECK(to_double(*graph.value(clip.input(2)).constant) == std::vector<double>{6.0});
}

TEST_CASE("onnx_graph: no truncation of a model crashes, and all are refused or read") {
  const std::string whole = old_model();
  for (size_t length = 0; length < whole.size(); ++length) {
    try {
      graph_of(whole.substr(0, length));
    } catch (const Error& error) {
      CHECK(error.code() == ExitCode::bad_input);
    }
  }
}

TEST_CASE("onnx_graph: random damage never crashes") {
  const std::string whole = old_model();
  for (uint64_t trial = 0; trial < 20000; ++trial) {
    std::string damaged = whole;
    const uint64_t changes = 1 + random_below(4, {11, 0}, trial);
    for (uint64_t i = 0; i < changes; ++i) {
      const RandomKey key{12, static_cast<uint32_t>(i)};
      damaged[random_below(damaged.size(), key, 2 * trial)] = static_cast<char>(random_below(256, key, 2 * trial + 1));
    }
    try {
      graph_of(damaged);
    } catch (const Error& error) {
      CHECK(error.code() != ExitCode::failure);
    }
  }
}

TEST_CASE("onnx_graph: an edit changes only what it names, and keeps the rest byte for byte") {
  const OnnxModel model = open_onnx(Bytes::own(old_model()), "");
  CHECK(edit_onnx(model, {}).flatten().text() == model.bytes.text());
  const std::vector<float> values{6, 5, 4, 3, 2, 1};
  const OnnxModel changed = with_tensors(model, {{"w", Tensor::of(DType::float32, {2, 3}, values)}});
  CHECK(changed.bytes.size() == model.bytes.size());
  CHECK(to_double(read_tensors(changed).at(0).tensor).at(0) == 6.0);
  CHECK_THROWS_AS(with_tensors(model, {{"w", Tensor::of(DType::float32, {3, 2}, values)}}), Error);
  CHECK_THROWS_AS(with_tensors(model, {{"v", Tensor::of(DType::float32, {2, 3}, values)}}), Error);
}
