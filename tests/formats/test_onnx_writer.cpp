#include <doctest/doctest.h>

#include "formats/onnx_writer.hpp"
#include "src/core/error.hpp"
#include "tests/formats/tiny_onnx.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;

namespace {

OnnxModel origin(const std::map<std::string, std::string>& metadata = {}) {
  return open_onnx(Bytes::own(test::model_message({}, metadata)), "");
}

bool same_tensor(const Tensor& a, const Tensor& b) {
  return a.dtype == b.dtype && a.shape == b.shape && a.data.text() == b.data.text();
}

bool same_attribute(const Attribute& a, const Attribute& b) {
  if (a.index() != b.index()) return false;
  if (const auto* tensor = std::get_if<Tensor>(&a)) return same_tensor(*tensor, std::get<Tensor>(b));
  return std::visit(
      [&](const auto& value) {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, Tensor> || std::is_same_v<T, OpaqueAttribute>) return false;
        else return value == std::get<T>(b);
      },
      a);
}

// Nodes, attributes and what they read, by name: the numbering of values is the reader's own.
void check_same(const Graph& a, const Graph& b) {
  const auto name = [](const Graph& graph, ValueId id) { return id == no_value ? "" : graph.value(id).name; };
  REQUIRE(a.nodes.size() == b.nodes.size());
  for (size_t i = 0; i < a.nodes.size(); ++i) {
    const Node& x = a.nodes[i];
    const Node& y = b.nodes[i];
    CHECK(x.name == y.name);
    CHECK(x.op == y.op);
    CHECK(x.domain == y.domain);
    REQUIRE(x.inputs.size() == y.inputs.size());
    for (size_t k = 0; k < x.inputs.size(); ++k) {
      CHECK(name(a, x.inputs[k]) == name(b, y.inputs[k]));
      if (x.inputs[k] == no_value || !a.value(x.inputs[k]).constant) continue;
      REQUIRE(b.value(y.inputs[k]).constant.has_value());
      CHECK(same_tensor(*a.value(x.inputs[k]).constant, *b.value(y.inputs[k]).constant));
    }
    REQUIRE(x.attributes.size() == y.attributes.size());
    for (const auto& [key, value] : x.attributes) {
      REQUIRE(y.has(key));
      CHECK_MESSAGE(same_attribute(value, y.attributes.find(key)->second), key);
    }
  }
  REQUIRE(a.inputs.size() == b.inputs.size());
  for (size_t i = 0; i < a.inputs.size(); ++i) {
    CHECK(name(a, a.inputs[i].value) == name(b, b.inputs[i].value));
    CHECK(a.value(a.inputs[i].value).shape == b.value(b.inputs[i].value).shape);
    CHECK(a.value(a.inputs[i].value).dtype == b.value(b.inputs[i].value).dtype);
  }
  REQUIRE(a.outputs.size() == b.outputs.size());
  for (size_t i = 0; i < a.outputs.size(); ++i) CHECK(name(a, a.outputs[i].value) == name(b, b.outputs[i].value));
}

}  // namespace

TEST_CASE("onnx_writer: what is read again is the graph that was written") {
  const Graph graph = test::small_cnn();
  const OnnxModel written = with_graph(origin(), graph);
  CHECK(written.opsets.at("") == 21);
  CHECK(written.ir_version == 10);
  check_same(graph, read_graph(written));
}

TEST_CASE("onnx_writer: every kind of attribute, optional inputs and symbolic sizes come back") {
  test::GraphBuilder b;
  const ValueId x = b.input("x", {2, 3});
  const ValueId y = b.node("Foo", {x, no_value, b.filled("k", {1}, 2)},
                           {{"i", int64_t{-5}},
                            {"f", 0.5f},
                            {"s", std::string("text\0with zero", 14)},
                            {"is", std::vector<int64_t>{1, -2, 3}},
                            {"fs", std::vector<float>{0.25f, -1}},
                            {"ss", std::vector<std::string>{"a", ""}},
                            {"none", std::vector<int64_t>{}},
                            {"t", Tensor::of<int64_t>(DType::int64, {2}, {7, 8})}});
  Graph graph = b.finish(y);
  graph.nodes[0].domain = "my.domain";
  graph.inputs[0].dims[0] = {-1, "batch"};
  graph.value(x).shape = Shape{-1, 3};
  OnnxModel base = origin();
  base.opsets["my.domain"] = 4;
  const OnnxModel written = with_graph(base, graph);
  CHECK(written.opsets.at("my.domain") == 4);
  const Graph again = read_graph(written);
  check_same(graph, again);
  CHECK(again.inputs[0].dims[0].symbol == "batch");
  CHECK(again.inputs[0].dims[1].size == 3);
}

TEST_CASE("onnx_writer: values without a name get one that nothing else has") {
  test::GraphBuilder b;
  const ValueId x = b.input("value_2", {2});
  ValueId y = b.node("Relu", {x});
  y = b.node("Add", {y, b.constant("", Tensor::of<float>(DType::float32, {2}, {1, 2}))});
  Graph graph = b.finish(y);
  const Graph again = read_graph(with_graph(origin(), graph));
  const ValueId added = again.nodes[1].inputs[1];
  CHECK(!again.value(added).name.empty());
  CHECK(again.value(added).name != "value_2");
  CHECK(to_double(*again.value(added).constant) == std::vector<double>{1, 2});
}

TEST_CASE("onnx_writer: constants that nothing reads are left out, one that is an output stays") {
  test::GraphBuilder b;
  const ValueId x = b.input("x", {1});
  b.filled("unread", {1000}, 1);
  const ValueId kept = b.filled("kept", {1}, 3);
  Graph graph = b.finish(b.node("Relu", {x}));
  graph.outputs.push_back({kept, {{1, ""}}, true});
  const OnnxModel written = with_graph(origin(), graph);
  const auto tensors = read_tensors(written);
  REQUIRE(tensors.size() == 1);
  CHECK(tensors[0].name == "kept");
}

TEST_CASE("onnx_writer: metadata, a newer opset and a newer IR version of the file stay") {
  Graph graph = test::small_cnn();
  graph.opset = 23;
  OnnxModel base = origin({{"pare.mask", "conv1"}});
  base.ir_version = 11;
  const OnnxModel written = with_graph(base, graph);
  CHECK(written.metadata.at("pare.mask") == "conv1");
  CHECK(written.opsets.at("") == 23);
  CHECK(written.ir_version == 11);
}

TEST_CASE("onnx_writer: equal graphs give equal bytes, and writing again changes nothing") {
  const Graph graph = test::small_cnn();
  const std::string once(write_graph(graph, origin()).flatten().text());
  CHECK(once == write_graph(graph, origin()).flatten().text());
  const OnnxModel written = with_graph(origin(), graph);
  CHECK(read_tensors(written).size() == read_tensors(with_graph(written, read_graph(written))).size());
}

TEST_CASE("onnx_writer: strings are refused, by name") {
  test::GraphBuilder b;
  const ValueId x = b.input("x", {1});
  Graph graph = b.finish(b.node("Foo", {x, b.constant("words", Tensor{DType::string, {1}, {}})}));
  CHECK_THROWS_WITH_AS(write_graph(graph, origin()), doctest::Contains("'words'"), Error);
}
