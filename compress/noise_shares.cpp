#include "compress/noise_shares.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_strided.h>
#include <ATen/ops/where.h>

#include "src/core/random.hpp"
#include "src/exec/tensors.hpp"

namespace pare {
namespace {

// What padding and masks are written with is no signal.
constexpr double largest_signal = 1e30;

constexpr int64_t most_elements = 16384;

at::Tensor rounding_error(const at::Tensor& value, const ActivationCodes& codes) {
  const at::Tensor code =
      value.div(codes.scale).round().add(codes.zero_point).clamp(codes.lowest, codes.highest).sub(codes.zero_point);
  return code.mul(codes.scale).sub(value);
}

at::Tensor random_signs(const at::Tensor& like, RandomKey key, uint32_t part) {
  at::Tensor signs = at::empty(like.sizes(), at::kFloat);
  float* const target = signs.mutable_data_ptr<float>();
  uint64_t bits = 0;
  for (int64_t i = 0; i < signs.numel(); ++i) {
    if (i % 64 == 0) bits = random_u64(key, static_cast<uint64_t>(i / 64), part);
    target[i] = (bits >> (i % 64) & 1) != 0 ? 1.0f : -1.0f;
  }
  return signs.to(like.device());
}

// At most `most_elements` places of a tensor's memory, drawn at random; undefined for all of them.
at::Tensor drawn_places(int64_t elements, RandomKey key, uint32_t part) {
  if (elements <= most_elements) return {};
  at::Tensor places = at::empty({most_elements}, at::kLong);
  int64_t* const target = places.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < most_elements; ++i)
    target[i] =
        static_cast<int64_t>(random_below(static_cast<uint64_t>(elements), key, static_cast<uint64_t>(i), part));
  return places;
}

// The elements at `places` of `like`'s memory; where the tensor lies alike, the others are not copied.
at::Tensor elements_of(const at::Tensor& tensor, const at::Tensor& like, const at::Tensor& places) {
  at::Tensor whole = tensor.detach();
  if (!like.is_non_overlapping_and_dense()) whole = whole.contiguous();
  else if (whole.strides() != like.strides())
    whole = at::empty_strided(like.sizes(), like.strides(), whole.options()).copy_(whole);
  const at::Tensor flat = whole.as_strided({whole.numel()}, {1});
  return places.defined() ? flat.index_select(0, places.to(flat.device())) : flat;
}

// The graph with what its last Softmax and Sigmoid read as further outputs: where they saturate, nothing is seen of a
// sample behind them, and the next sample may lie elsewhere.
Graph with_logits(const Graph& graph) {
  Graph result = graph;
  std::vector<const Node*> producers(graph.values.size(), nullptr);
  for (const Node& node : graph.nodes)
    for (const ValueId output : node.outputs)
      if (output != no_value) producers[static_cast<size_t>(output)] = &node;
  const auto is = [](const Node& node, std::initializer_list<std::string_view> ops) {
    return node.domain.empty() && std::find(ops.begin(), ops.end(), node.op) != ops.end();
  };
  for (const Port& output : graph.outputs) {
    const Node* node = producers[static_cast<size_t>(output.value)];
    while (node != nullptr && is(*node, {"Identity", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten"}))
      node = producers[static_cast<size_t>(node->inputs[0])];
    if (node != nullptr && is(*node, {"Softmax", "Sigmoid", "LogSoftmax"}) && !graph.value(node->inputs[0]).constant)
      result.outputs.push_back({node->inputs[0], {}, false});
  }
  return result;
}

}  // namespace

NoiseShares::NoiseShares(const Graph& graph, const QuantPlacement& placement,
                         const std::map<ValueId, std::vector<CodesChoice>>& choices, const StaticConfig& config,
                         const std::map<ValueId, EncodedWeight>& rounded, at::Device device, uint64_t seed)
    : choices_(choices), executor_(with_logits(graph)), parameters_(graph, device, Training::on), seed_(seed) {
  observation_.watched.resize(graph.values.size(), false);
  std::map<ValueId, ActivationCodes> first;
  for (const auto& [id, codes] : choices) {
    observation_.watched[static_cast<size_t>(id)] = true;
    sums_[id].resize(codes.size());
    first.emplace(id, codes.front().codes);
  }
  observation_.seen = [this](ValueId id, const at::Tensor& value) { see(id, value); };
  for (const auto& [id, weight] : encode_weights(graph, placement, first, config, rounded)) {
    const Tensor decoded = Tensor::of(DType::float32, weight.groups.shape, weight.decoded());
    weight_errors_[id] = to_aten(decoded).to(device).sub(parameters_.tensor(id).detach());
    sums_[id].resize(1);
  }
  for (const Parameter& parameter : parameters_.all())
    if (!weight_errors_.contains(parameter.value)) at::Tensor(parameter.tensor).set_requires_grad(false);
}

void NoiseShares::see(ValueId id, const at::Tensor& value) {
  if (!value.is_floating_point()) return;
  if (!value.requires_grad()) value.set_requires_grad(true);  // nothing before it is asked for
  if (!value.is_leaf()) value.retain_grad();
  watched_[id] = value;
}

// The sum of all outputs with random signs, each output divided by its norm.
at::Tensor NoiseShares::signed_sum(const std::vector<at::Tensor>& outputs) const {
  at::Tensor sum;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const at::Tensor& output = outputs[i];
    if (!output.is_floating_point() || !output.requires_grad()) continue;
    const at::Tensor signal = output.detach();
    const at::Tensor counts = signal.abs().lt(largest_signal);
    const double power = at::where(counts, signal, 0).square().sum(at::kDouble).item<double>();
    if (!(power > 0)) continue;
    const at::Tensor signs = random_signs(output, {seed_, random_stream("noise") + static_cast<uint32_t>(i)}, batches_);
    const at::Tensor part = at::where(counts, output, 0).mul(signs).sum().div(std::sqrt(power));
    sum = sum.defined() ? sum.add(part) : part;
  }
  return sum;
}

void NoiseShares::add_activation(ValueId id, const at::Tensor& value) {
  const at::Tensor places = drawn_places(value.numel(), {seed_, static_cast<uint32_t>(id)}, batches_);
  const at::Tensor values = elements_of(value, value, places), gradients = elements_of(value.grad(), value, places);
  const double weight = static_cast<double>(value.numel()) / static_cast<double>(std::max<int64_t>(1, values.numel()));
  std::vector<double> noises;
  for (const CodesChoice& choice : choices_.at(id)) {
    const at::Tensor moved = gradients.mul(rounding_error(values, choice.codes));
    noises.push_back(weight * moved.square().sum(at::kDouble).item<double>());
    if (!std::isfinite(noises.back())) return;  // a gradient where the function has none, as of a root at 0
  }
  std::vector<Sums>& sums = sums_.at(id);
  for (size_t i = 0; i < noises.size(); ++i) {
    sums[i].noise += noises[i];
    const double both = noises.front() + noises[i], gain = both > 0 ? (noises.front() - noises[i]) / both : 0;
    sums[i].gain += gain;
    sums[i].squared_gain += gain * gain;
  }
}

void NoiseShares::add(std::span<const at::Tensor> inputs) {
  const c10::AutoGradMode gradients(true);
  std::vector<at::Tensor> own(inputs.begin(), inputs.end());
  for (at::Tensor& input : own)
    if (input.is_floating_point()) input = input.detach().clone().set_requires_grad(true);
  const at::Tensor sum = signed_sum(executor_.run(parameters_, own, false, &observation_));
  if (sum.defined()) sum.backward();
  const c10::AutoGradMode no_gradients(false);
  for (const auto& [id, value] : watched_)
    if (value.grad().defined()) add_activation(id, value);
  for (const auto& [id, error] : weight_errors_) {
    const at::Tensor gradient = parameters_.tensor(id).grad();
    if (!gradient.defined()) continue;
    const double change = gradient.mul(error).sum(at::kDouble).item<double>();
    if (std::isfinite(change)) sums_.at(id).front().noise += change * change;
  }
  for (const auto& [id, error] : weight_errors_) parameters_.tensor(id).mutable_grad().reset();
  watched_.clear();
  ++batches_;
}

std::map<ValueId, NoiseShare> NoiseShares::shares() const {
  std::map<ValueId, NoiseShare> shares;
  for (const auto& [id, sums] : sums_) {
    size_t best = 0;
    for (size_t i = 1; i < sums.size(); ++i)
      if (sums[i].noise < sums[best].noise && allowed(choices_.at(id)[i], sums[i])) best = i;
    shares[id] = {sums[best].noise / std::max(batches_, 1u), best};
  }
  return shares;
}

bool NoiseShares::allowed(const CodesChoice& choice, const Sums& sums) const {
  constexpr double standard_errors = 3;
  const double count = batches_, mean = sums.gain / std::max(count, 1.0);
  const double variance = sums.squared_gain / std::max(count, 1.0) - mean * mean;
  return choice.close || (count > 1 && mean > standard_errors * std::sqrt(std::max(variance, 0.0) / (count - 1)));
}

std::map<ValueId, ActivationCodes> chosen_codes(const std::map<ValueId, std::vector<CodesChoice>>& choices,
                                                const std::map<ValueId, NoiseShare>& shares,
                                                const QuantPlacement& placement, const QuantPlacement& whole) {
  std::map<ValueId, ActivationCodes> codes;
  for (const auto& [value, choice] : choices) codes[value] = choice[shares.at(value).choice].codes;
  // Moved values whose origin is no place any more have the codes that it would have.
  for (const QuantPlace& place : placement.places)
    if (const QuantPlace* before = whole.find(place.value); before != nullptr && before->same_as != no_value)
      codes[place.value] = codes.at(before->same_as);
  return codes;
}

std::set<ValueId> float_islands(const QuantPlacement& placement, const std::map<ValueId, NoiseShare>& shares,
                                const IslandConfig& config,
                                const std::function<size_t(const std::set<ValueId>&)>& integer_layers) {
  std::vector<std::pair<double, ValueId>> order;
  double left = 0;
  for (const QuantPlace& place : placement.places) {
    const auto share = shares.find(place.value);
    if (share == shares.end()) continue;
    left += share->second.noise;
    if (place.kind == QuantPlace::Kind::activation) order.emplace_back(share->second.noise, place.value);
  }
  std::sort(order.begin(), order.end(), std::greater<>());
  std::set<ValueId> islands;
  const size_t most = config.most > 0 ? config.most : std::max<size_t>(2, placement.places.size() / 4);
  const size_t all = integer_layers(islands), spare = static_cast<size_t>(config.spare * static_cast<double>(all));
  size_t layers = all;
  for (const auto& [noise, value] : order) {
    if (left <= config.target || islands.size() >= most || noise < config.target / 100) break;
    islands.insert(value);
    const size_t remaining = integer_layers(islands);
    const bool worth = noise >= config.costly || (noise >= config.target / 2 && remaining + spare >= all);
    if (remaining < layers && (!worth || remaining == 0)) {
      islands.erase(value);
      continue;
    }
    layers = remaining;
    left -= noise;
  }
  return islands;
}

std::vector<ValueId> float_order(const std::map<ValueId, NoiseShare>& shares, const std::set<ValueId>& islands) {
  std::vector<ValueId> order;
  for (const auto& [value, share] : shares) order.push_back(value);
  const auto rank = [&](ValueId value) { return std::tuple(!islands.contains(value), -shares.at(value).noise, value); };
  std::sort(order.begin(), order.end(), [&](ValueId a, ValueId b) { return rank(a) < rank(b); });
  return order;
}

}  // namespace pare
