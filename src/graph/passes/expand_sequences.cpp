#include "src/graph/passes/expand_sequences.hpp"

#include <algorithm>
#include <limits>
#include <set>

#include "src/core/error.hpp"
#include "src/graph/axes.hpp"
#include "src/graph/edit.hpp"
#include "src/graph/node_inputs.hpp"
#include "src/graph/shape_rules.hpp"

namespace pare {
namespace {

constexpr int64_t end_of_axis = std::numeric_limits<int64_t>::max();

// A tensor, or the elements start .. end of an axis of one.
struct Element {
  ValueId tensor = no_value;
  int64_t start = 0;
  int64_t end = 0;
};

struct Sequence {
  std::vector<Element> elements;
  // Of SplitToSequence: elements that are not tensors of their own lie along this axis of `source`, and lose it where
  // parts are single slices without keepdims.
  ValueId source = no_value;
  int64_t axis = 0;
  bool squeezed = false;
  // Of an axis whose size is not known: parts of this length; 0 where `elements` are known.
  int64_t part = 0;

  bool open() const { return part > 0; }
  // Whether joining the parts along `along` gives the source.
  bool joins_to_source(int64_t along, bool new_axis) const { return open() && along == axis && new_axis == squeezed; }
};

const std::set<std::string, std::less<>> makers = {"Optional",      "SequenceConstruct", "SequenceEmpty",
                                                   "SequenceErase", "SequenceInsert",    "SplitToSequence"};
const std::set<std::string, std::less<>> readers = {"ConcatFromSequence", "OptionalGetElement", "OptionalHasElement",
                                                    "SequenceAt", "SequenceLength"};

class Expansion {
 public:
  explicit Expansion(Graph& graph) : graph_(graph), shaped_(graph) { infer_shapes(shaped_); }

  // How many nodes were replaced.
  int run() {
    int replaced = 0;
    std::vector<Node> old = std::move(graph_.nodes);
    for (Node& node : old) {
      follow(node);
      if (node.domain.empty() && readers.contains(node.op) && replace(node)) ++replaced;
      else nodes_.push_back(std::move(node));
    }
    graph_.nodes = std::move(nodes_);
    return replaced;
  }

 private:
  // --- what makes sequences ---

  void follow(const Node& node) {
    if (!node.domain.empty() || node.outputs.empty()) return;
    std::optional<Sequence> made;
    if (node.op == "SequenceConstruct") made = constructed(node);
    if (node.op == "SequenceEmpty") made.emplace();
    if (node.op == "SequenceInsert") made = inserted(node);
    if (node.op == "SequenceErase") made = erased(node);
    if (node.op == "SplitToSequence") made = split(node);
    if (node.op == "Identity")
      if (const Sequence* same = sequence_at(node, 0)) made = *same;
    if (made) sequences_[node.outputs[0]] = std::move(*made);
    if (node.op == "Optional") optionals_[node.outputs[0]] = node.input(0);
  }

  static Sequence constructed(const Node& node) {
    Sequence made;
    for (const ValueId input : node.inputs) made.elements.push_back({input});
    return made;
  }

  std::optional<Sequence> inserted(const Node& node) {
    const Sequence* before = sequence_at(node, 0);
    if (before == nullptr || before->open()) return std::nullopt;
    const auto count = static_cast<int64_t>(before->elements.size());
    const auto position = node.input(2) == no_value ? std::optional(count) : position_at(node, 2, count, count);
    if (!position) return std::nullopt;
    Sequence made = *before;
    made.elements.insert(made.elements.begin() + *position, Element{node.input(1)});
    return made;
  }

  std::optional<Sequence> erased(const Node& node) {
    const Sequence* before = sequence_at(node, 0);
    if (before == nullptr || before->open()) return std::nullopt;
    const auto count = static_cast<int64_t>(before->elements.size());
    const auto position = node.input(1) == no_value ? std::optional(count - 1) : position_at(node, 1, count, count - 1);
    if (!position || *position < 0) return std::nullopt;
    Sequence made = *before;
    made.elements.erase(made.elements.begin() + *position);
    return made;
  }

  // Parts of one length (a scalar; 1 when it is left out), the last one shorter, or of the lengths that are listed.
  std::optional<Sequence> split(const Node& node) {
    Sequence made;
    made.source = node.input(0);
    made.axis = node.integer("axis", 0);
    made.squeezed = node.input(1) == no_value && node.integer("keepdims", 1) == 0;
    const auto& shape = shape_of(shaped_, node, 0);
    if (shape) made.axis = static_cast<int64_t>(axis_index(node, made.axis, shape->size()));
    const auto lengths = node.input(1) == no_value ? std::vector<int64_t>{1} : constant_integers(shaped_, node, 1);
    const auto& form = shape_of(shaped_, node, 1);
    if (!lengths || (node.input(1) != no_value && !form)) return std::nullopt;
    if (node.input(1) != no_value && form->size() == 1) {
      int64_t start = 0;
      for (const int64_t length : *lengths) {
        made.elements.push_back({no_value, start, start + length});
        start += length;
      }
      return made;
    }
    const int64_t part = lengths->empty() ? 0 : lengths->front();
    if (part < 1) fail_input("{}: parts of length {} cannot be", node.label(), part);
    const int64_t size = shape ? (*shape)[static_cast<size_t>(made.axis)] : -1;
    if (size < 0) made.part = part;
    for (int64_t start = 0; start < size; start += part)
      made.elements.push_back({no_value, start, std::min(start + part, size)});
    return made;
  }

  const Sequence* sequence_at(const Node& node, size_t input) const {
    const auto found = sequences_.find(node.input(input));
    return found == sequences_.end() ? nullptr : &found->second;
  }

  // A position that follows from constants, counted from the start; nullopt otherwise.
  std::optional<int64_t> position_at(const Node& node, size_t input, int64_t count, int64_t last) const {
    const auto given = constant_integers(shaped_, node, input);
    if (!given || given->size() != 1) return std::nullopt;
    const int64_t position = given->front() < 0 ? given->front() + count : given->front();
    if (position < 0 || position > last)
      fail_input("{}: position {} of a sequence of {} tensors is out of range", node.label(), given->front(), count);
    return position;
  }

  // --- what reads them ---

  bool replace(const Node& node) {
    if (node.op == "OptionalHasElement" || node.op == "OptionalGetElement") return replace_optional(node);
    const Sequence* sequence = sequence_at(node, 0);
    if (sequence == nullptr) return false;
    if (node.op == "SequenceAt") return replace_at(node, *sequence);
    if (node.op == "SequenceLength") return replace_length(node, *sequence);
    return replace_concat(node, *sequence);
  }

  bool replace_at(const Node& node, const Sequence& sequence) {
    if (!sequence.open()) {
      const auto count = static_cast<int64_t>(sequence.elements.size());
      const auto position = position_at(node, 1, count, count - 1);
      if (!position) return false;
      finish(node, "Identity", {tensor_of(node, sequence, sequence.elements[static_cast<size_t>(*position)])});
      return true;
    }
    if (sequence.part == 1) {
      const ValueId position = node.input(1);
      if (sequence.squeezed) {
        finish(node, "Gather", {sequence.source, position}).attributes["axis"] = sequence.axis;
      } else {
        const ValueId slice = add(node, "Gather", {sequence.source, position});
        nodes_.back().attributes["axis"] = sequence.axis;
        finish(node, "Unsqueeze", {slice, list_of({sequence.axis})});
      }
      return true;
    }
    const auto position = constant_integers(shaped_, node, 1);
    if (!position || position->size() != 1 || position->front() < 0) return false;
    const int64_t start = position->front() * sequence.part;
    finish(node, "Identity", {tensor_of(node, sequence, {no_value, start, start + sequence.part})});
    return true;
  }

  bool replace_length(const Node& node, const Sequence& sequence) {
    if (!sequence.open()) {
      set_constant(node.outputs[0], scalar_tensor(static_cast<int64_t>(sequence.elements.size())));
      return true;
    }
    if (sequence.part != 1) return false;
    const ValueId sizes = add(node, "Shape", {sequence.source});
    graph_.value(sizes).dtype = DType::int64;
    finish(node, "Gather", {sizes, constant(scalar_tensor(sequence.axis))});
    return true;
  }

  bool replace_concat(const Node& node, const Sequence& sequence) {
    const int64_t axis = node.integer("axis", 0);
    const bool new_axis = node.integer("new_axis", 0) != 0;
    if (sequence.joins_to_source(axis, new_axis)) {
      finish(node, "Identity", {sequence.source});
      return true;
    }
    if (sequence.open() || sequence.elements.empty()) return false;
    std::vector<ValueId> parts;
    for (const Element& element : sequence.elements) {
      const ValueId tensor = tensor_of(node, sequence, element);
      parts.push_back(new_axis ? add(node, "Unsqueeze", {tensor, list_of({axis})}) : tensor);
    }
    finish(node, "Concat", std::move(parts)).attributes["axis"] = axis;
    return true;
  }

  // Of an Optional node of this graph, or of a tensor or sequence as such.
  bool replace_optional(const Node& node) {
    ValueId given = node.input(0);
    const auto found = optionals_.find(given);
    if (found != optionals_.end()) given = found->second;
    const bool known = given == no_value || found != optionals_.end() ||
                       graph_.value(given).dtype != DType::undefined || sequences_.contains(given);
    if (!known) return false;
    if (node.op == "OptionalHasElement") {
      set_constant(
          node.outputs[0],
          Tensor::of<uint8_t>(DType::boolean, {}, std::vector<uint8_t>{given != no_value ? uint8_t{1} : uint8_t{0}}));
      return true;
    }
    if (given == no_value) fail_input("{}: the optional value is empty", node.label());
    if (const auto sequence = sequences_.find(given); sequence != sequences_.end()) {
      Sequence same = sequence->second;
      sequences_[node.outputs[0]] = std::move(same);
    }
    finish(node, "Identity", {given});
    return true;
  }

  // --- nodes ---

  ValueId tensor_of(const Node& by, const Sequence& sequence, const Element& element) {
    if (element.tensor != no_value) return element.tensor;
    const ValueId bounds[] = {list_of({element.start}), list_of({element.end}), list_of({sequence.axis})};
    const ValueId slice = add(by, "Slice", {sequence.source, bounds[0], bounds[1], bounds[2]});
    return sequence.squeezed ? add(by, "Squeeze", {slice, list_of({sequence.axis})}) : slice;
  }

  // A node with a new output.
  ValueId add(const Node& by, const std::string& op, std::vector<ValueId> inputs) {
    const ValueId output = graph_.add_value("");
    graph_.value(output).dtype = graph_.value(inputs[0]).dtype;
    finish(by, op, std::move(inputs)).outputs = {output};
    nodes_.back().name += fmt::format("_{}", nodes_.size());
    return output;
  }

  // The node that gives what `by` gave.
  Node& finish(const Node& by, const std::string& op, std::vector<ValueId> inputs) {
    Node node;
    node.op = op;
    node.name = by.name + "/" + op;
    node.inputs = std::move(inputs);
    node.outputs = {by.outputs[0]};
    nodes_.push_back(std::move(node));
    return nodes_.back();
  }

  void set_constant(ValueId id, Tensor tensor) {
    Value& value = graph_.value(id);
    value.dtype = tensor.dtype;
    value.shape = tensor.shape;
    value.constant = std::move(tensor);
  }

  ValueId constant(Tensor tensor) {
    const ValueId id = graph_.add_value("");
    set_constant(id, std::move(tensor));
    return id;
  }

  ValueId list_of(const std::vector<int64_t>& integers) {
    return constant(Tensor::of<int64_t>(DType::int64, {static_cast<int64_t>(integers.size())}, integers));
  }

  Graph& graph_;
  Graph shaped_;
  std::vector<Node> nodes_;
  std::map<ValueId, Sequence> sequences_;
  std::map<ValueId, ValueId> optionals_;  // no_value: empty
};

// Nodes that make sequences which nothing reads any more.
void drop_unread_makers(Graph& graph) {
  std::vector<int> read(graph.values.size(), 0);
  for (const Node& node : graph.nodes)
    for (const ValueId input : node.inputs)
      if (input != no_value) ++read[static_cast<size_t>(input)];
  for (const Port& output : graph.outputs) ++read[static_cast<size_t>(output.value)];
  std::set<ValueId> sequences;
  for (const Node& node : graph.nodes)
    if (node.domain.empty() && !node.outputs.empty() &&
        (makers.contains(node.op) || (node.op == "Identity" && sequences.contains(node.inputs[0]))))
      sequences.insert(node.outputs[0]);
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    const Node& node = graph.nodes[i];
    if (node.outputs.empty() || !sequences.contains(node.outputs[0]) || read[static_cast<size_t>(node.outputs[0])] > 0)
      continue;
    for (const ValueId input : node.inputs)
      if (input != no_value) --read[static_cast<size_t>(input)];
    graph.nodes.erase(graph.nodes.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

}  // namespace

void expand_sequences(Graph& graph) {
  const auto reads = [](const Node& node) { return node.domain.empty() && readers.contains(node.op); };
  if (std::none_of(graph.nodes.begin(), graph.nodes.end(), reads)) return;
  while (Expansion(graph).run() > 0)
    ;
  drop_unread_makers(graph);
}

}  // namespace pare
