// Operators that move, split, merge or repeat axes.
#include <algorithm>
#include <numeric>

#include "compress/channel_rules.hpp"
#include "src/graph/axes.hpp"
#include "src/graph/node_inputs.hpp"

namespace pare::channel_rules {
namespace {

// Axes [first, last) of the input and of the output of a Reshape that have the same number of elements.
struct Block {
  size_t in_first, in_last, out_first, out_last;
};

// nullopt when sizes are unknown or zero, or do not fit.
std::optional<std::vector<Block>> blocks_of(const std::vector<Axis>& in, const std::vector<Axis>& out) {
  const auto known = [](const Axis& axis) { return axis.size > 0; };
  if (!std::all_of(in.begin(), in.end(), known) || !std::all_of(out.begin(), out.end(), known)) return std::nullopt;
  std::vector<Block> blocks;
  size_t i = 0, j = 0;
  while (i < in.size() || j < out.size()) {
    Block block{i, i, j, j};
    int64_t a = i < in.size() ? in[i++].size : 1;
    int64_t b = j < out.size() ? out[j++].size : 1;
    while (a != b) {
      if (a < b && i < in.size()) a *= in[i++].size;
      else if (b < a && j < out.size()) b *= out[j++].size;
      else return std::nullopt;
    }
    block.in_last = i;
    block.out_last = j;
    blocks.push_back(block);
  }
  return blocks;
}

// How an axis of the output meets the channels of an axis of the input: of channel c it holds the digit
// (c / below) % size; its own index i holds it as (i / inside) % size.
struct Digit {
  size_t axis;
  int64_t size;
  int64_t below;
  int64_t inside;

  int64_t of_channel(int64_t c) const { return c / below % size; }
  int64_t of_index(int64_t i) const { return i / inside % size; }
};

// The output axes that hold a digit of the channels; nullopt when a boundary cuts through one.
std::optional<std::vector<Digit>> digits_of(const std::vector<Axis>& in, const std::vector<Axis>& out, Block block,
                                            size_t channels) {
  int64_t inner = 1;
  for (size_t i = channels + 1; i < block.in_last; ++i) inner *= in[i].size;
  const int64_t end = inner * in[channels].size;
  std::vector<Digit> digits;
  int64_t stride = 1;
  for (size_t k = block.out_last; k-- > block.out_first; stride *= out[k].size) {
    const int64_t reach = stride * out[k].size;
    const int64_t low = std::max(stride, inner);
    const int64_t high = std::min(reach, end);
    if (high <= low || out[k].size == 1) continue;
    const bool aligned =
        low % stride == 0 && low % inner == 0 && reach % high == 0 && end % high == 0 && high % low == 0;
    if (!aligned) return std::nullopt;
    digits.push_back({k, high / low, low / inner, low / stride});
  }
  std::reverse(digits.begin(), digits.end());
  return digits;
}

// Candidates in order of preference. Channels: the longest, later ones first. Heads: the last but one (of [.., heads,
// channels of a head]), then as for channels.
void order_by_preference(std::vector<Digit>& digits, Factor factor) {
  const size_t heads = digits.size() >= 2 ? digits[digits.size() - 2].axis : digits.front().axis;
  std::stable_sort(digits.begin(), digits.end(), [&](const Digit& a, const Digit& b) {
    if (factor == Factor::heads && (a.axis == heads) != (b.axis == heads)) return a.axis == heads;
    return a.size != b.size ? a.size > b.size : a.axis > b.axis;
  });
}

// Whether channels with one digit share their unit already.
bool follows(ChannelFlow& flow, const Axis& axis, const Digit& digit) {
  const auto labels = flow.units.labels(axis);
  std::vector<Unit> units(static_cast<size_t>(digit.size), -1);
  for (int64_t c = 0; c < axis.size; ++c) {
    Unit& unit = units[static_cast<size_t>(digit.of_channel(c))];
    const Unit here = flow.units.find(labels[static_cast<size_t>(c)]);
    if (unit >= 0 && unit != here) return false;
    unit = here;
  }
  return true;
}

// Hands the channels on to the output axis that holds the digit; those with one digit become one unit.
void follow(ChannelFlow& flow, const Axis& axis, const Digit& digit) {
  std::vector<Unit> units(static_cast<size_t>(digit.size), -1);
  const auto labels = flow.units.labels(axis);
  for (int64_t c = 0; c < axis.size; ++c) {
    Unit& unit = units[static_cast<size_t>(digit.of_channel(c))];
    const Unit here = labels[static_cast<size_t>(c)];
    if (unit >= 0) flow.units.unite(unit, here);
    else unit = here;
  }
  Axis& out = flow.out()[digit.axis];
  std::vector<Unit> result(static_cast<size_t>(out.size));
  for (int64_t i = 0; i < out.size; ++i) result[static_cast<size_t>(i)] = units[static_cast<size_t>(digit.of_index(i))];
  const int64_t size = out.size;
  out = flow.units.axis_of(result, axis.zero);
  out.size = size;
  out.weak = axis.weak;
}

void reshape_block(ChannelFlow& flow, Block block) {
  std::vector<Axis>& in = flow.in(0);
  std::vector<Axis>& out = flow.out();
  size_t channels = block.in_last;
  const auto better = [](const Axis& a, const Axis& b) { return a.weak != b.weak ? b.weak : a.size > b.size; };
  for (size_t k = block.in_first; k < block.in_last; ++k) {
    if (!in[k].labelled() || in[k].size == 1 || flow.units.count_free(in[k]) == 0) continue;
    if (channels == block.in_last || better(in[k], in[channels])) channels = k;
  }
  if (channels == block.in_last) return;
  for (size_t k = block.in_first; k < block.in_last; ++k)
    if (k != channels) flow.bar(in[k], "merged with other channels");
  Axis& axis = in[channels];
  auto digits = digits_of(in, out, block, channels);
  if (!digits || digits->empty()) return flow.bar(axis, "reshaped across channels");
  if (digits->size() == 1 && digits->front().size == axis.size) {
    if (out[digits->front().axis].size == axis.size) out[digits->front().axis] = axis;
    else follow(flow, axis, digits->front());
    return;
  }
  order_by_preference(*digits, flow.factor());
  for (const Digit& digit : *digits)
    if (follows(flow, axis, digit)) return follow(flow, axis, digit);
  const Digit& digit = (*digits)[flow.choose(digits->size())];
  follow(flow, axis, digit);
  flow.chosen(out[digit.axis], digits->size());
}

bool reads_shape(const Node& node, size_t input) {
  return ((node.op == "Reshape" || node.op == "Expand") && input == 1) ||
         (node.op == "ConstantOfShape" && input == 0) || (node.op == "Resize" && input == 3);
}

// Whether sizes only become the sizes of other values, which follow when channels go: through operators that hand
// elements on, into inputs that are shapes.
bool only_shapes(ChannelFlow& flow, ValueId sizes, int depth) {
  static constexpr std::string_view hands_on[] = {"Cast",  "Concat",  "Gather",   "Identity",
                                                  "Slice", "Squeeze", "Unsqueeze"};
  for (const Port& output : flow.graph().outputs)
    if (output.value == sizes) return false;
  for (const Node* reader : flow.readers(sizes)) {
    if (!reader->domain.empty()) return false;
    for (size_t i = 0; i < reader->inputs.size(); ++i) {
      if (reader->inputs[i] != sizes || reads_shape(*reader, i)) continue;
      const bool on = std::find(std::begin(hands_on), std::end(hands_on), reader->op) != std::end(hands_on);
      const bool whole = reader->op == "Concat" || i == 0;
      if (!on || !whole || depth == 0 || !only_shapes(flow, reader->outputs[0], depth - 1)) return false;
    }
  }
  return true;
}

// Whether the reader picks elements of a shape that are not the axis.
bool picks_others(ChannelFlow& flow, const Node& reader, ValueId sizes, int64_t axis, int64_t count) {
  if (reader.input(0) != sizes || !reader.domain.empty()) return false;
  const auto first = constant_integers(flow.graph(), reader, 1);
  if (!first) return false;
  if (reader.op == "Gather")
    return std::none_of(first->begin(), first->end(), [&](int64_t i) { return (i < 0 ? i + count : i) == axis; });
  const auto last = constant_integers(flow.graph(), reader, 2);
  if (reader.op != "Slice" || !last || first->size() != 1 || last->size() != 1 || reader.input(4) != no_value)
    return false;
  const auto place = [&](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + count : i, 0, count); };
  return axis < place(first->front()) || axis >= place(last->front());
}

}  // namespace

void reshape(ChannelFlow& flow) {
  std::vector<Axis>& in = flow.in(0);
  bool any = false;
  for (size_t k = 0; k < in.size(); ++k) any = flow.data(0, k).labelled() || any;
  if (!any) return;
  for (Axis& axis : in)
    if (axis.size == 1 && axis.labelled()) flow.bar(axis, "is a single channel");
  const auto blocks = blocks_of(in, flow.out());
  if (!blocks) return flow.bar_inputs("shapes are unknown before it runs");
  for (const Block& block : *blocks) reshape_block(flow, block);
}

void transpose(ChannelFlow& flow) {
  const std::vector<int64_t> order = permutation_of(flow.node(), flow.in(0).size());
  for (size_t k = 0; k < order.size(); ++k) flow.out()[k] = flow.data(0, static_cast<size_t>(order[k]));
}

void expand(ChannelFlow& flow) {
  std::vector<Axis>& out = flow.out();
  const size_t offset = out.size() - flow.in(0).size();
  const bool zero = flow.all_equal(0, 0);
  for (size_t k = 0; k < out.size(); ++k) {
    if (k >= offset && flow.in(0)[k - offset].size == out[k].size) {
      out[k] = flow.data(0, k - offset);
    } else if (out[k].size > 1 && (k < offset || flow.in(0)[k - offset].size == 1)) {
      out[k] = flow.units.fresh(out[k].size, zero);
      out[k].weak = true;
    }
  }
}

void tile(ChannelFlow& flow) {
  const auto repeats = constant_integers(flow.graph(), flow.node(), 1);
  if (!repeats) return flow.bar_inputs("repeats are computed");
  for (size_t k = 0; k < flow.out().size(); ++k) {
    const Axis& axis = flow.data(0, k);
    if (!axis.labelled() || (*repeats)[k] == 1) {
      flow.out()[k].first = axis.first;
      flow.out()[k].zero = axis.zero;
      continue;
    }
    std::vector<int64_t> indices(static_cast<size_t>(axis.size * (*repeats)[k]));
    for (size_t i = 0; i < indices.size(); ++i) indices[i] = static_cast<int64_t>(i) % axis.size;
    flow.out()[k] = flow.select(axis, indices);
  }
}

void constant_of_shape(ChannelFlow& flow) {
  const auto value = flow.node().attributes.find("value");
  bool zero = true;
  if (value != flow.node().attributes.end())
    if (const auto* tensor = std::get_if<Tensor>(&value->second)) zero = count_nonzero(*tensor) == 0;
  for (Axis& axis : flow.out()) {
    if (axis.size <= 1) continue;
    axis = flow.units.fresh(axis.size, zero);
    axis.weak = true;
  }
}

void shape(ChannelFlow& flow) {
  std::vector<Axis>& x = flow.in(0);
  const ValueId sizes = flow.node().outputs[0];
  const auto rank = static_cast<int64_t>(x.size());
  const auto place = [&](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + rank : i, 0, rank); };
  const int64_t first = place(flow.node().integer("start", 0));
  const int64_t last = place(flow.node().integer("end", rank));
  for (int64_t k = first; k < last; ++k) {
    Axis& axis = x[static_cast<size_t>(k)];
    if (!axis.labelled() || only_shapes(flow, sizes, 8)) continue;
    const auto readers = flow.readers(sizes);
    const bool unread = std::all_of(readers.begin(), readers.end(), [&](const Node* reader) {
      return picks_others(flow, *reader, sizes, k - first, last - first);
    });
    if (!unread) flow.bar(axis, "its size is computed with");
  }
}

void depth_to_space(ChannelFlow& flow) {
  const int64_t block = flow.node().integer("blocksize", 1);
  const bool depth_first = flow.node().text("mode", "DCR") == "DCR";
  const Axis& x = flow.data(0, 1);
  flow.out()[0] = flow.data(0, 0);
  for (size_t k = 2; k < 4; ++k) flow.bar(flow.in(0)[k], "interleaved");
  if (!x.labelled()) return;
  const int64_t channels = x.size / (block * block);
  const int64_t step = depth_first ? 1 : block * block;
  std::vector<int64_t> source(static_cast<size_t>(x.size));
  std::vector<int64_t> firsts(static_cast<size_t>(channels));
  for (int64_t i = 0; i < x.size; ++i) source[static_cast<size_t>(i)] = depth_first ? i % channels : i / step * step;
  for (int64_t c = 0; c < channels; ++c) firsts[static_cast<size_t>(c)] = c * step;
  flow.units.unite(x, flow.select(x, source));
  flow.out()[1] = flow.select(x, firsts);
}

void space_to_depth(ChannelFlow& flow) {
  const Axis& x = flow.data(0, 1);
  flow.out()[0] = flow.data(0, 0);
  for (size_t k = 2; k < 4; ++k) flow.bar(flow.in(0)[k], "interleaved");
  if (!x.labelled()) return;
  std::vector<int64_t> indices(static_cast<size_t>(flow.out()[1].size));
  for (size_t i = 0; i < indices.size(); ++i) indices[i] = static_cast<int64_t>(i) % x.size;
  flow.out()[1] = flow.select(x, indices);
}

void resize(ChannelFlow& flow) {
  for (size_t k = 0; k < flow.out().size(); ++k) {
    Axis& axis = flow.data(0, k);
    if (axis.size == flow.out()[k].size && axis.size >= 0) flow.out()[k] = axis;
    else flow.bar(axis, "resized along");
  }
}

}  // namespace pare::channel_rules
