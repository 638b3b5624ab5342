#include <doctest/doctest.h>

#include "formats/onnx_writer.hpp"
#include "src/core/error.hpp"
#include "src/graph/op_table.hpp"
#include "src/graph/passes/fold_sizes.hpp"
#include "src/graph/passes/inline_graph.hpp"
#include "src/graph/passes/run_pass.hpp"
#include "src/graph/roles.hpp"
#include "tests/formats/onnx_parts.hpp"

using namespace pare;
using namespace pare::test;

namespace {

OnnxModel opened(const std::string& bytes) { return open_onnx(Bytes::own(bytes), ""); }
Graph read(const std::string& bytes) { return read_graph(opened(bytes)); }

Tensor floats(Shape shape, const std::vector<float>& values) {
  return Tensor::of(DType::float32, std::move(shape), values);
}

// A constant inside of a graph.
std::string constant_part(const std::string& name, const Tensor& tensor) {
  return node_part("Constant", {}, {name},
                   {Part().text(1, "value").text(5, tensor_part("", tensor)).number(20, 4).bytes()});
}

// y = condition ? x + w : Relu(x), with w a constant of the branch, and z in both branches for different values.
std::string conditional(const std::vector<std::string>& around = {}, const std::string& condition = "c") {
  const std::string yes = graph_part({{constant_part("w", floats({2}, {3, 4})), node_part("Add", {"x", "w"}, {"z"})},
                                      {},
                                      {},
                                      {},
                                      {port_part("z", DType::float32, {2})}});
  const std::string no =
      graph_part({{node_part("Relu", {"x"}, {"z"})}, {}, {}, {}, {port_part("z", DType::float32, {2})}});
  GraphParts parts;
  parts.nodes = around;
  parts.nodes.push_back(
      node_part("If", {condition}, {"y"}, {graph_attribute("then_branch", yes), graph_attribute("else_branch", no)}));
  parts.inputs = {port_part("c", DType::boolean, {}), port_part("x", DType::float32, {2})};
  parts.outputs = {port_part("y", DType::float32, {2})};
  return model_part(graph_part(parts));
}

// A model that calls `op` of the domain "f" on x.
std::string calling(const std::vector<std::string>& functions, const std::string& op = "outer",
                    const std::vector<std::string>& attributes = {}) {
  return model_part(graph_part({{node_part(op, {"x"}, {"y"}, attributes, "f")},
                                {},
                                {},
                                {port_part("x", DType::float32, {2, 3})},
                                {port_part("y", DType::float32, {-1})}}),
                    functions);
}

}  // namespace

TEST_CASE("onnx_graph: what a branch reads from around is an input of the node") {
  const Graph graph = read(conditional());
  REQUIRE(graph.nodes.size() == 1);
  const Node& node = graph.nodes[0];
  CHECK(node.captured == 2);
  REQUIRE(node.inputs.size() == 3);
  CHECK(graph.value(node.inputs[2]).name == "x");
  const Value& weight = graph.value(node.inputs[1]);
  CHECK(weight.name == "y/then_branch/w");
  CHECK(to_double(weight.constant.value()) == std::vector<double>{3, 4});
  CHECK(node.subgraph("then_branch")->inputs.size() == 2);
  CHECK(node.subgraph("else_branch")->inputs.size() == 2);
  CHECK(roles_of(graph)[static_cast<size_t>(node.inputs[1])] == Role::offset);
}

TEST_CASE("onnx_graph: tensors of subgraphs are tensors of the model, and can be replaced") {
  const OnnxModel model = opened(conditional());
  const auto tensors = read_tensors(model);
  REQUIRE(tensors.size() == 1);
  CHECK(tensors[0].name == "y/then_branch/w");
  const Graph changed = read_graph(with_tensors(model, {{"y/then_branch/w", floats({2}, {5, 6})}}));
  CHECK(to_double(changed.value(changed.find("y/then_branch/w")).constant.value()) == std::vector<double>{5, 6});
}

TEST_CASE("onnx_graph: a written If is read again") {
  const Graph graph = read(conditional());
  const Graph again = read_graph(with_graph(opened(conditional()), graph));
  REQUIRE(again.nodes.size() == 1);
  CHECK(again.nodes[0].captured == 2);
  CHECK(again.nodes[0].subgraph("then_branch")->nodes.size() == 1);
  CHECK(again.find("y/then_branch/w") != no_value);
  // Written under a new name of what is captured, too.
  Graph renamed = graph;
  renamed.value(renamed.find("x")).name = "input";
  CHECK(read_graph(with_graph(opened(conditional()), renamed)).find("input") != no_value);
}

TEST_CASE("onnx_graph: a branch that returns what it captured is written with an Identity of its own") {
  const std::string branch =
      graph_part({{constant_part("w", floats({2}, {3, 4}))}, {}, {}, {}, {port_part("w", DType::float32, {2})}});
  const std::string node =
      node_part("If", {"c"}, {"y"}, {graph_attribute("then_branch", branch), graph_attribute("else_branch", branch)});
  const std::string bytes = model_part(
      graph_part({{node}, {}, {}, {port_part("c", DType::boolean, {})}, {port_part("y", DType::float32, {2})}}));
  const Graph again = read_graph(with_graph(opened(bytes), read(bytes)));
  const Graph& body = *again.nodes.at(0).subgraph("then_branch");
  REQUIRE(body.nodes.size() == 1);
  CHECK(body.nodes[0].op == "Identity");
}

TEST_CASE("onnx_graph: an If with a constant condition becomes its branch") {
  for (const bool yes : {true, false}) {
    const Tensor condition = Tensor::of<uint8_t>(DType::boolean, {}, {yes});
    Graph graph = read(conditional({constant_part("k", condition)}, "k"));
    CHECK(run_pass(graph, "inline", inline_constant_ifs) == 1);
    REQUIRE(graph.nodes.size() == 1);
    CHECK(graph.nodes[0].op == (yes ? "Add" : "Relu"));
    CHECK(graph.value(graph.nodes[0].outputs[0]).name == "y");
  }
}

TEST_CASE("onnx_graph: operators inside count as operators of the model") {
  const std::string branch =
      graph_part({{node_part("Zzz", {"x"}, {"z"})}, {}, {}, {}, {port_part("z", DType::float32, {2})}});
  const std::string node =
      node_part("If", {"c"}, {"y"}, {graph_attribute("then_branch", branch), graph_attribute("else_branch", branch)});
  const Graph graph =
      read(model_part(graph_part({{node},
                                  {},
                                  {},
                                  {port_part("c", DType::boolean, {}), port_part("x", DType::float32, {2})},
                                  {port_part("y", DType::float32, {2})}})));
  CHECK_THROWS_WITH_AS(check_supported(graph), doctest::Contains("Zzz"), Error);
}

TEST_CASE("onnx_graph: functions are inlined, also those that functions call, with the attributes of the call") {
  const std::string inner = function_part(
      "f", "inner", {"a"}, {"b"}, {node_part("Flatten", {"a"}, {"b"}, {referring_attribute("axis", "where")})}, 21);
  const std::string outer = function_part(
      "f", "outer", {"a", "missing"}, {"b"},
      {node_part("inner", {"a"}, {"t"}, {referring_attribute("where", "axis")}, "f"), node_part("Relu", {"t"}, {"b"})},
      21, {integer_attribute("axis", 2)});
  const Graph by_default = read(calling({outer, inner}));
  REQUIRE(by_default.nodes.size() == 2);
  CHECK(by_default.nodes[0].op == "Flatten");
  CHECK(by_default.nodes[0].integer("axis", -9) == 2);
  CHECK(by_default.nodes[1].op == "Relu");
  CHECK(by_default.value(by_default.nodes[1].outputs[0]).name == "y");
  const Graph given = read(calling({outer, inner}, "outer", {integer_attribute("axis", 0)}));
  CHECK(given.nodes[0].integer("axis", -9) == 0);
}

TEST_CASE("onnx_graph: a function has its own opset") {
  // Before opset 13 the axes of Unsqueeze were an attribute.
  const std::string axes = Part().text(1, "axes").number(8, 1).number(20, 7).bytes();
  const std::string function =
      function_part("f", "outer", {"a"}, {"b"}, {node_part("Unsqueeze", {"a"}, {"b"}, {axes})}, 11);
  const Graph graph = read(calling({function}));
  REQUIRE(graph.nodes.size() == 1);
  CHECK(to_int64(graph.value(graph.nodes[0].input(1)).constant.value()) == std::vector<int64_t>{1});
}

TEST_CASE("onnx_graph: functions that call themselves, or each other too often, are refused") {
  const auto twice = [](const std::string& name, const std::string& called) {
    return function_part("f", name, {"a"}, {"b"},
                         {node_part(called, {"a"}, {"t"}, {}, "f"), node_part(called, {"t"}, {"b"}, {}, "f")}, 21);
  };
  CHECK_THROWS_WITH_AS(read(calling({twice("outer", "outer")})), doctest::Contains("nest deeper"), Error);
  std::vector<std::string> doubling = {twice("outer", "f0")};
  for (int i = 0; i < 30; ++i) doubling.push_back(twice(fmt::format("f{}", i), fmt::format("f{}", i + 1)));
  CHECK_THROWS_WITH_AS(read(calling(doubling)), doctest::Contains("too often"), Error);
}

TEST_CASE("onnx_graph: subgraphs without end are refused") {
  std::string body = graph_part({});
  for (int i = 0; i < 60; ++i)
    body = graph_part({{node_part("If", {"c"}, {}, {graph_attribute("then_branch", body)})}, {}, {}, {}, {}});
  CHECK_THROWS_AS(read(model_part(body)), Error);
  CHECK_THROWS_AS(read_tensors(opened(model_part(body))), Error);
}

TEST_CASE("onnx_graph: sparse initializers are read dense, by positions or coordinates") {
  const auto model = [](const Tensor& indices, const Shape& shape) {
    Part sparse;
    sparse.text(1, tensor_part("w", floats({2}, {5, 7}))).text(2, tensor_part("", indices));
    for (const int64_t size : shape) sparse.number(3, size);
    return model_part(graph_part({{node_part("MatMul", {"x", "w"}, {"y"})},
                                  {},
                                  {sparse.bytes()},
                                  {port_part("x", DType::float32, {1, 2})},
                                  {port_part("y", DType::float32, {1, 3})}}));
  };
  const std::vector<double> expected = {0, 5, 0, 0, 0, 7};
  const Graph flat = read(model(Tensor::of<int64_t>(DType::int64, {2}, {1, 5}), {2, 3}));
  CHECK(to_double(flat.value(flat.find("w")).constant.value()) == expected);
  const Graph pairs = read(model(Tensor::of<int64_t>(DType::int64, {2, 2}, {0, 1, 1, 2}), {2, 3}));
  CHECK(to_double(pairs.value(pairs.find("w")).constant.value()) == expected);
  CHECK_THROWS_WITH_AS(read(model(Tensor::of<int64_t>(DType::int64, {2}, {1, 6}), {2, 3})),
                       doctest::Contains("out of range"), Error);
  CHECK_THROWS_WITH_AS(read(model(Tensor::of<int64_t>(DType::int64, {2}, {1, 5}), {1 << 20, 1 << 10})),
                       doctest::Contains("too large"), Error);
}
