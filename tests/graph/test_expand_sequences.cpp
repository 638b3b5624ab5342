#include <doctest/doctest.h>

#include "src/core/error.hpp"
#include "src/graph/passes/expand_sequences.hpp"
#include "tests/support/graph_builder.hpp"

// What the expansions compute is compared with ONNX Runtime in tests/exec/test_sequences.py.
namespace pare::test {
namespace {

ValueId position(GraphBuilder& b, int64_t value) {
  return b.constant("position", Tensor::of<int64_t>(DType::int64, {}, std::vector<int64_t>{value}));
}

std::vector<std::string> expanded(Graph graph) {
  expand_sequences(graph);
  verify(graph);
  std::vector<std::string> ops;
  for (const Node& node : graph.nodes) ops.push_back(node.op);
  return ops;
}

using Ops = std::vector<std::string>;

}  // namespace

TEST_CASE("expand_sequences: a part that is read is a slice; parts that are not read cost nothing") {
  GraphBuilder b;
  const ValueId parts =
      b.node("SplitToSequence", {b.input("x", {-1, 6})}, {{"axis", int64_t{1}}, {"keepdims", int64_t{0}}});
  CHECK((expanded(b.finish(b.node("SequenceAt", {parts, position(b, 2)}))) == Ops{"Slice", "Squeeze", "Identity"}));
}

TEST_CASE("expand_sequences: of an axis of unknown size, parts of length 1 are gathered") {
  GraphBuilder b;
  const ValueId parts =
      b.node("SplitToSequence", {b.input("x", {-1, -1})}, {{"axis", int64_t{1}}, {"keepdims", int64_t{0}}});
  CHECK((expanded(b.finish(b.node("SequenceAt", {parts, position(b, -1)}))) == Ops{"Gather"}));
}

TEST_CASE("expand_sequences: what a position that is computed reads stays") {
  GraphBuilder b;
  const ValueId x = b.input("x", {2}), at = b.input("at", {}, DType::int64);
  const ValueId both = b.node("SequenceConstruct", {x, x});
  CHECK((expanded(b.finish(b.node("SequenceAt", {both, at}))) == Ops{"SequenceConstruct", "SequenceAt"}));
}

TEST_CASE("expand_sequences: positions out of range are refused by name") {
  GraphBuilder b;
  const ValueId x = b.input("x", {2});
  Graph graph = b.finish(b.node("SequenceAt", {b.node("SequenceConstruct", {x, x}), position(b, 2)}));
  CHECK_THROWS_WITH_AS(expand_sequences(graph),
                       "SequenceAt node 'SequenceAt_1': position 2 of a sequence of 2 tensors is out of range", Error);
}

}  // namespace pare::test
