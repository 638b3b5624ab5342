#include "compress/smooth.hpp"

#include <algorithm>
#include <cmath>

#include "compress/qdq_placement.hpp"
#include "src/graph/edit.hpp"

namespace pare {
namespace {

constexpr double largest_factor = 1e5;

bool is(const Node& node, std::string_view op) { return node.domain.empty() && node.op == op; }

bool is_output(const Graph& graph, ValueId id) {
  return std::any_of(graph.outputs.begin(), graph.outputs.end(), [&](const Port& port) { return port.value == id; });
}

void read_instead(Graph& graph, const SmoothSite& site, ValueId value) {
  for (const LayerChannels& layer : site.layers) graph.nodes[layer.node].inputs[0] = value;
}

class Smoother {
 public:
  explicit Smoother(Graph& graph) : graph_(graph) {}

  void divide(const SmoothSite& site, const std::vector<double>& factors) {
    switch (site.place) {
      case SmoothSite::Place::folded:
        return divide_outputs(graph_, *site.first, factors);
      case SmoothSite::Place::copy:
        return divide_copy(site, factors);
      default:
        return insert_product(site, factors);
    }
  }

  // Nodes are put in last: until then the sites' indices hold.
  std::set<ValueId> finish() {
    insertions_.apply(graph_);
    return floats_;
  }

 private:
  // A copy of the functions computes what only the layers read.
  void divide_copy(const SmoothSite& site, const std::vector<double>& factors) {
    ValueId result = no_value;
    for (const AffinePart& part : site.first->affine) {
      Node node = graph_.nodes[part.node];
      const Value& original = graph_.value(node.outputs[0]);
      const std::string name = original.name + "_smooth";
      const std::optional<Shape> shape = original.shape;
      for (const size_t input : part.constants)
        node.inputs[input] = divided_constant(graph_, part, input, factors, -1, shape ? shape->size() : 1);
      // An Add reads the Mul's copy.
      if (result != no_value) node.inputs[1 - part.constants[0]] = result;
      result = add_computed_value(graph_, name, DType::float32, shape);
      node.name += "_smooth";
      node.outputs = {result};
      insertions_.before[part.node + 1].push_back(std::move(node));
    }
    read_instead(graph_, site, result);
  }

  void insert_product(const SmoothSite& site, const std::vector<double>& factors) {
    std::vector<float> inverse;
    for (const double factor : factors) inverse.push_back(static_cast<float>(1 / factor));
    const std::string name = graph_.value(site.value).name + "_smooth";
    const auto channels = static_cast<int64_t>(inverse.size());
    const ValueId constant =
        add_constant_value(graph_, name + "_factor", Tensor::of(DType::float32, {channels}, inverse));
    const ValueId result = add_computed_value(graph_, name, DType::float32, graph_.value(site.value).shape);
    insertions_.before[site.layers.front().node].push_back(
        {name + "_Mul", "", "Mul", {site.value, constant}, {result}, {}});
    const std::vector<const Node*> producers = producers_of(graph_);
    for (ValueId value = site.value;;) {
      floats_.insert(value);
      const Node* node = producers[static_cast<size_t>(value)];
      if (node == nullptr || !moves_values(*node)) break;
      value = node->inputs[0];
    }
    read_instead(graph_, site, result);
  }

  Graph& graph_;
  NodeInsertions insertions_;
  std::set<ValueId> floats_;
};

std::vector<double> factors_of(const Graph& graph, const SmoothSite& site, const std::vector<float>& values,
                               double share) {
  std::vector<double> weights(values.size(), 0.0), factors(values.size(), 1.0);
  for (const LayerChannels& layer : site.layers) {
    const auto ranges = input_absmax(graph, layer);
    for (size_t c = 0; c < weights.size(); ++c) weights[c] = std::max(weights[c], ranges[c]);
  }
  for (size_t c = 0; c < factors.size(); ++c) {
    const double factor = std::pow(double{values[c]}, share) / std::pow(weights[c], 1 - share);
    if (values[c] > 0 && weights[c] > 0 && std::isfinite(factor))
      factors[c] = std::clamp(factor, 1 / largest_factor, largest_factor);
  }
  return factors;
}

}  // namespace

std::vector<SmoothSite> smooth_sites(const Graph& graph) {
  const auto consumers = consumers_of(graph);
  const auto producers = producers_of(graph);
  const std::vector<EqualizationSpan> spans = equalization_spans(graph);
  std::vector<SmoothSite> sites;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (!(is(node, "Gemm") || is(node, "MatMul"))) continue;
    SmoothSite site{node.inputs[0], {}, SmoothSite::Place::product, std::nullopt};
    bool others = is_output(graph, site.value);
    for (const Node* reader : consumers[static_cast<size_t>(site.value)]) {
      const auto layer = layer_channels(graph, consumers, static_cast<size_t>(reader - graph.nodes.data()));
      if (layer && reader->op != "Conv" && reader->inputs[0] == site.value) site.layers.push_back(*layer);
      else others = true;
    }
    if (site.layers.empty() || site.layers.front().node != i) continue;
    const int64_t channels = site.layers.front().inputs;
    if (std::any_of(site.layers.begin(), site.layers.end(),
                    [&](const LayerChannels& layer) { return layer.inputs != channels; }))
      continue;
    const auto span = std::find_if(spans.begin(), spans.end(), [&](const EqualizationSpan& candidate) {
      return candidate.value == site.value && candidate.channels == channels;
    });
    EqualizationSpan affine;
    affine.axis = -1;
    affine.channels = channels;
    affine.affine = affine_parts(graph, consumers, producers, site.value, -1, channels);
    if (span != spans.end() && span->seconds.size() == site.layers.size() && !others) {
      site.place = SmoothSite::Place::folded;
      site.first = *span;
    } else if (!affine.affine.empty()) {
      site.place = others ? SmoothSite::Place::copy : SmoothSite::Place::folded;
      site.first = std::move(affine);
    } else if (others) {
      continue;
    }
    sites.push_back(std::move(site));
  }
  return sites;
}

Smoothed smooth(Graph& graph, const std::vector<SmoothSite>& sites, const std::map<ValueId, std::vector<float>>& absmax,
                double share) {
  Smoothed result;
  Smoother smoother(graph);
  for (const SmoothSite& site : sites) {
    const auto values = absmax.find(site.value);
    if (values == absmax.end() || static_cast<int64_t>(values->second.size()) != site.layers.front().inputs) continue;
    const std::vector<double> factors = factors_of(graph, site, values->second, share);
    smoother.divide(site, factors);
    for (const LayerChannels& layer : site.layers) scale_inputs(graph, layer, factors);
    ++result.sites;
  }
  result.floats = smoother.finish();
  return result;
}

}  // namespace pare
