#include "compress/equalize.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <string_view>

namespace pare {
namespace {

// Factors beyond this serve channels that hardly ever differ from zero.
constexpr double largest_factor = 1e4;
constexpr int most_rounds = 40;
// Rounds end when no factor differs from 1 by more.
constexpr double settled = 1e-3;

bool is(const Node& node, std::initializer_list<std::string_view> ops) {
  return node.domain.empty() && std::find(ops.begin(), ops.end(), node.op) != ops.end();
}

// Looks for the layers that read what a first layer computes.
class Walk {
 public:
  // `axis`: of the channels, 1 as convolutions have them, or -1.
  Walk(const Graph& graph, const std::vector<std::vector<const Node*>>& consumers, int64_t axis, int64_t channels)
      : graph_(graph), consumers_(consumers), conv_(axis == 1), channels_(channels) {}

  // False where something reads the value, or what is made of it, that cannot take factors.
  bool reaches_layers(ValueId value) { return follow(value, false) && products_are_single() && !seconds_.empty(); }

  const std::vector<LayerChannels>& seconds() const { return seconds_; }
  // What the last of them reads, before a Flatten.
  ValueId last_read() const { return last_read_; }

 private:
  bool is_output(ValueId id) const {
    return std::any_of(graph_.outputs.begin(), graph_.outputs.end(),
                       [&](const Port& port) { return port.value == id; });
  }

  bool follow(ValueId value, bool flat) {
    if (is_output(value) || !scaled_.insert(value).second) return false;
    const auto& readers = consumers_[static_cast<size_t>(value)];
    return !readers.empty() && std::all_of(readers.begin(), readers.end(),
                                           [&](const Node* reader) { return follow_reader(*reader, value, flat); });
  }

  bool follow_reader(const Node& reader, ValueId value, bool flat) {
    if (is(reader, {"Conv", "Gemm", "MatMul"})) return take_layer(reader, value, flat);
    // A second output (indices, masks) would not be scaled.
    if (reader.outputs.size() != 1 || reader.captured > 0) return false;
    const ValueId result = reader.outputs[0];
    if (is(reader, {"Relu", "LeakyRelu", "Identity"})) return follow(result, flat);
    if (conv_ && !flat && is(reader, {"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"}))
      return follow(result, false);
    if (conv_ && !flat && is(reader, {"Flatten"}) && reader.integer("axis", 1) == 1) {
      unflattened_ = value;
      return follow(result, true);
    }
    if (is(reader, {"Mul"}) && !flat && keeps_channels(reader, value)) {
      products_.push_back(&reader);
      return follow(result, flat);
    }
    return false;
  }

  // Whether the other operand leaves channels where they are.
  bool keeps_channels(const Node& product, ValueId value) const {
    const ValueId other = product.inputs[product.inputs[0] == value ? 1 : 0];
    const auto &ours = graph_.value(value).shape, &theirs = graph_.value(other).shape;
    return other != value && ours && theirs && ours->size() >= theirs->size();
  }

  // A product of two scaled values would have the factor twice.
  bool products_are_single() const {
    return std::none_of(products_.begin(), products_.end(), [&](const Node* product) {
      return scaled_.contains(product->inputs[0]) && scaled_.contains(product->inputs[1]);
    });
  }

  bool take_layer(const Node& reader, ValueId value, bool flat) {
    const auto index = static_cast<size_t>(&reader - graph_.nodes.data());
    const auto layer = layer_channels(graph_, consumers_, index);
    if (!layer || reader.inputs[0] != value || (reader.op == "Conv") != (conv_ && !flat)) return false;
    if (flat ? layer->inputs % channels_ != 0 : layer->inputs != channels_) return false;
    if (seconds_.empty() || index > seconds_.back().node) last_read_ = flat ? unflattened_ : value;
    seconds_.push_back(*layer);
    return true;
  }

  const Graph& graph_;
  const std::vector<std::vector<const Node*>>& consumers_;
  const bool conv_;
  const int64_t channels_;
  std::set<ValueId> scaled_;
  std::vector<const Node*> products_;
  std::vector<LayerChannels> seconds_;
  ValueId unflattened_ = no_value, last_read_ = no_value;
};

// Of `channels` numbers, each the largest of its neighbours.
std::vector<double> gathered(const std::vector<double>& values, size_t channels) {
  std::vector<double> largest(channels, 0.0);
  const size_t spread = values.size() / channels;
  for (size_t i = 0; i < values.size(); ++i) largest[i / spread] = std::max(largest[i / spread], values[i]);
  return largest;
}

// r1; empty where it is not known.
std::vector<double> first_ranges(const Graph& graph, const EqualizationSpan& span,
                                 const std::map<ValueId, std::vector<float>>* ranges) {
  if (ranges == nullptr) return span.layer ? output_absmax(graph, *span.layer) : std::vector<double>();
  const auto found = ranges->find(span.value);
  return found == ranges->end() ? std::vector<double>()
                                : std::vector<double>(found->second.begin(), found->second.end());
}

// s = sqrt(r1 / r2).
std::vector<double> balanced_factors(const Graph& graph, const EqualizationSpan& span,
                                     const std::vector<double>& first) {
  std::vector<double> second(first.size(), 0.0), factors(first.size(), 1.0);
  for (const LayerChannels& layer : span.seconds) {
    const auto ranges = gathered(input_absmax(graph, layer), first.size());
    for (size_t c = 0; c < second.size(); ++c) second[c] = std::max(second[c], ranges[c]);
  }
  for (size_t c = 0; c < factors.size(); ++c)
    if (first[c] > 0 && second[c] > 0) factors[c] = std::sqrt(first[c] / second[c]);
  return factors;
}

// What the channels of a depthwise convolution's input are divided by, given their ranges on samples.
std::vector<double> depthwise_factors(const std::vector<double>& ranges) {
  std::vector<double> factors(ranges.size(), 1.0);
  for (size_t c = 0; c < factors.size(); ++c)
    if (ranges[c] > 0 && std::isfinite(ranges[c])) factors[c] = std::sqrt(ranges[c]);
  return factors;
}

class SpanFinder {
 public:
  explicit SpanFinder(const Graph& graph)
      : graph_(graph), consumers_(consumers_of(graph)), producers_(producers_of(graph)) {}

  std::vector<EqualizationSpan> run() {
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (const auto layer = layer_channels(graph_, consumers_, i)) {
        EqualizationSpan span;
        span.layer = layer;
        span.axis = graph_.nodes[i].op == "Conv" ? 1 : -1;
        span.channels = layer->outputs;
        add(std::move(span), layer->result);
      } else if (is(graph_.nodes[i], {"Mul", "Div", "Add"})) {
        add_affine(graph_.nodes[i].outputs[0]);
      }
    }
    return std::move(spans_);
  }

 private:
  void add_affine(ValueId value) {
    const auto& shape = graph_.value(value).shape;
    if (!shape || shape->size() < 2) return;
    for (const int64_t axis : {1, -1}) {
      EqualizationSpan span;
      span.axis = axis;
      span.channels = axis < 0 ? shape->back() : (*shape)[1];
      if (span.channels < 1 || (axis > 0 && shape->size() < 3)) continue;
      span.affine = affine_parts(graph_, consumers_, producers_, value, axis, span.channels);
      if (!span.affine.empty() && add(std::move(span), value)) return;
    }
  }

  // Where all that reads the value takes factors, and has none from another span.
  bool add(EqualizationSpan span, ValueId value) {
    Walk walk(graph_, consumers_, span.axis, span.channels);
    if (!walk.reaches_layers(value)) return false;
    span.seconds = walk.seconds();
    span.value = walk.last_read();
    for (const LayerChannels& layer : span.seconds)
      if (taken_.contains(layer.node)) return false;
    for (const LayerChannels& layer : span.seconds) taken_.insert(layer.node);
    spans_.push_back(std::move(span));
    return true;
  }

  const Graph& graph_;
  const std::vector<std::vector<const Node*>> consumers_;
  const std::vector<const Node*> producers_;
  std::set<size_t> taken_;  // second layers
  std::vector<EqualizationSpan> spans_;
};

}  // namespace

bool EqualizationSpan::depthwise() const {
  return std::all_of(seconds.begin(), seconds.end(), [](const LayerChannels& next) { return next.depthwise; });
}

std::vector<EqualizationSpan> equalization_spans(const Graph& graph) { return SpanFinder(graph).run(); }

void divide_outputs(Graph& graph, const EqualizationSpan& span, const std::vector<double>& factors) {
  if (span.layer) {
    std::vector<double> inverse;
    for (const double factor : factors) inverse.push_back(1 / factor);
    return scale_outputs(graph, *span.layer, inverse);
  }
  for (const AffinePart& part : span.affine) {
    const auto& shape = graph.value(graph.nodes[part.node].outputs[0]).shape;
    const size_t rank = shape ? shape->size() : 1;  // values move when one is added
    for (const size_t input : part.constants) {
      const ValueId constant = divided_constant(graph, part, input, factors, span.axis, rank);
      graph.nodes[part.node].inputs[input] = constant;
    }
  }
}

int64_t equalize(Graph& graph, const std::vector<EqualizationSpan>& spans,
                 const std::map<ValueId, std::vector<float>>* ranges) {
  std::set<size_t> changed;
  // Ranges of values are those in between alone: one round does.
  for (int round = 0; round < (ranges != nullptr ? 1 : most_rounds); ++round) {
    double largest = 0;
    for (const EqualizationSpan& span : spans) {
      const std::vector<double> first = first_ranges(graph, span, ranges);
      if (first.size() != static_cast<size_t>(span.channels)) continue;
      if (ranges != nullptr && !span.depthwise()) continue;
      std::vector<double> factors = ranges != nullptr ? depthwise_factors(first) : balanced_factors(graph, span, first);
      for (double& factor : factors) factor = std::clamp(factor, 1 / largest_factor, largest_factor);
      double here = 0;
      for (const double factor : factors) here = std::max(here, std::abs(std::log(factor)));
      if (here < settled) continue;
      divide_outputs(graph, span, factors);
      for (const LayerChannels& layer : span.seconds) scale_inputs(graph, layer, factors);
      changed.insert(span.first_node());
      largest = std::max(largest, here);
    }
    if (largest < settled) break;
  }
  return static_cast<int64_t>(changed.size());
}

}  // namespace pare
