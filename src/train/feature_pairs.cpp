#include "src/train/feature_pairs.hpp"

#include <algorithm>

#include "src/core/error.hpp"
#include "src/graph/block_outputs.hpp"
#include "src/graph/op_table.hpp"

namespace pare {
namespace {

constexpr size_t most_pairs = 4;

Graph shaped(const Graph& graph) {
  Graph copy = graph;
  infer_shapes(copy);
  return copy;
}

// The shape of a value without the batch; nothing when it is unknown.
std::optional<Shape> sample_shape(const Graph& graph, ValueId id) {
  if (id == no_value || !graph.value(id).shape || graph.value(id).shape->empty()) return std::nullopt;
  return Shape(graph.value(id).shape->begin() + 1, graph.value(id).shape->end());
}

// The pair with its adapter. Throws (exit 3) when the shapes do not fit the loss; unknown ones are taken as they come.
NamedPair paired(const Graph& student, ValueId s, const Graph& teacher, ValueId t, const FeatureLoss& loss) {
  NamedPair pair{student.value(s).name, teacher.value(t).name, {}};
  const auto a = sample_shape(student, s), b = sample_shape(teacher, t);
  const auto known = [](const std::optional<Shape>& shape) {
    return shape && std::none_of(shape->begin(), shape->end(), [](int64_t size) { return size < 0; });
  };
  pair.open = !known(a) || !known(b);
  if (a && b && loss.same_shape)
    with_context(fmt::format("{}:{}", pair.student, pair.teacher), [&] { pair.adapter = adapter_shape(*a, *b); });
  return pair;
}

bool fits(const Graph& student, ValueId s, const Graph& teacher, ValueId t, const FeatureLoss& loss) {
  const auto a = sample_shape(student, s), b = sample_shape(teacher, t);
  if (!a || !b) return false;
  if (loss.name == "attention")
    return a->size() == b->size() && ((a->size() == 3 && std::equal(a->begin() + 1, a->end(), b->begin() + 1)) ||
                                      (a->size() == 2 && a->front() == b->front()));
  if (!loss.same_shape) return true;
  try {
    adapter_shape(*a, *b);
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

std::vector<NamedPair> pair_blocks(const Graph& student_graph, const Graph& teacher_graph, Pairing pairing,
                                   const FeatureLoss& loss) {
  std::vector<NamedPair> pairs;
  if (pairing == Pairing::none) return pairs;
  const Graph student = shaped(student_graph), teacher = shaped(teacher_graph);
  const std::vector<ValueId> blocks = block_outputs(student, most_pairs);
  for (const ValueId s : blocks) {
    const ValueId t = teacher.find(student.value(s).name);
    if (t != no_value && !teacher.value(t).constant && sample_shape(student, s) == sample_shape(teacher, t))
      pairs.push_back(paired(student, s, teacher, t, loss));
  }
  if (!pairs.empty() || pairing == Pairing::same) return pairs;
  const std::vector<ValueId> candidates = block_outputs(teacher, teacher.nodes.size());
  size_t next = 0;
  for (size_t i = 0; i < blocks.size(); ++i) {
    // The last block of a stage (a run of equal shapes) belongs to the last of the teacher's stage, others to the first
    // that is left.
    const ValueId s = blocks[i];
    const bool stage_ends = i + 1 == blocks.size() || sample_shape(student, blocks[i + 1]) != sample_shape(student, s);
    std::optional<size_t> found;
    for (size_t c = next; c < candidates.size() && (!found || stage_ends); ++c)
      if (fits(student, s, teacher, candidates[c], loss)) found = c;
    if (!found) continue;
    pairs.push_back(paired(student, s, teacher, candidates[*found], loss));
    next = *found + 1;
  }
  return pairs;
}

std::vector<NamedPair> read_pairs(const Graph& student_graph, const Graph& teacher_graph, const std::string& list,
                                  const FeatureLoss& loss) {
  const Graph student = shaped(student_graph), teacher = shaped(teacher_graph);
  std::vector<NamedPair> pairs;
  for (size_t start = 0; start < list.size();) {
    const size_t comma = std::min(list.find(',', start), list.size());
    const std::string text = list.substr(start, comma - start);
    const size_t colon = text.find(':');
    if (colon == std::string::npos || colon == 0 || colon + 1 == text.size())
      fail_usage("--features: bad pair (got '{}', expected none, auto or STUDENT:TEACHER,...)", text);
    // with_outputs knows what is a computed value.
    const std::string s = text.substr(0, colon), t = text.substr(colon + 1);
    with_context("--features: student", [&] { with_outputs(student, {s}); });
    with_context("--features: teacher", [&] { with_outputs(teacher, {t}); });
    pairs.push_back(paired(student, student.find(s), teacher, teacher.find(t), loss));
    start = comma + 1;
  }
  return pairs;
}

}  // namespace pare
