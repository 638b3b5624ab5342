#include "compress/noise_shares.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/where.h>

#include "kernels/device.hpp"
#include "src/core/random.hpp"
#include "src/exec/tensors.hpp"

namespace pare {
namespace {

// What padding and masks are written with is no signal.
constexpr double largest_signal = 1e30;

constexpr int64_t most_elements = 16384;

// sum (g e)^2 with e = what rounding to the codes adds to a value.
PARE_SIMD double rounding_noise(const float* values, const float* gradients, int64_t count,
                                const ActivationCodes& codes) {
  constexpr int64_t lanes = 16;
  const float inverse = 1 / codes.scale, scale = codes.scale;
  const float lowest = static_cast<float>(codes.lowest - codes.zero_point);
  const float highest = static_cast<float>(codes.highest - codes.zero_point);
  const auto squared = [&](int64_t i) {
    const float code = std::min(std::max(std::nearbyint(values[i] * inverse), lowest), highest);
    const double moved = double{gradients[i]} * (code * scale - values[i]);
    return moved * moved;
  };
  double sums[lanes] = {};
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes)
    for (int64_t lane = 0; lane < lanes; ++lane) sums[lane] += squared(i + lane);
  for (; i < count; ++i) sums[0] += squared(i);
  return std::accumulate(sums, sums + lanes, 0.0);
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

// One place in each of `most_elements` equal parts of a tensor's memory; undefined for all places.
at::Tensor drawn_places(int64_t elements, RandomKey key, uint32_t part) {
  if (elements <= most_elements) return {};
  at::Tensor places = at::empty({most_elements}, at::kLong);
  int64_t* const target = places.mutable_data_ptr<int64_t>();
  RandomBlock words{};
  for (int64_t i = 0; i < most_elements; ++i) {
    const auto word = static_cast<size_t>(i) % words.size();
    if (word == 0) words = random_block(key, static_cast<uint64_t>(i), part);
    const int64_t begin = i * elements / most_elements, end = (i + 1) * elements / most_elements;
    target[i] = begin + static_cast<int64_t>(words[word] * static_cast<uint64_t>(end - begin) >> 32);
  }
  return places;
}

// Where in `tensor`'s memory the elements lie that are at `places` in that of `dense`, a tensor of the same sizes.
at::Tensor places_in(const at::Tensor& tensor, const at::Tensor& dense, const at::Tensor& places) {
  if (tensor.strides() == dense.strides()) return places;
  std::vector<int64_t> dims(static_cast<size_t>(dense.dim()));
  std::iota(dims.begin(), dims.end(), 0);
  std::sort(dims.begin(), dims.end(), [&](int64_t a, int64_t b) { return dense.stride(a) > dense.stride(b); });
  at::Tensor result = at::empty_like(places);
  const int64_t* const source = places.const_data_ptr<int64_t>();
  int64_t* const target = result.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < places.numel(); ++i) {
    int64_t rest = source[i], offset = 0;
    for (const int64_t dim : dims) {
      if (dense.size(dim) == 1) continue;
      offset += rest / dense.stride(dim) * tensor.stride(dim);
      rest %= dense.stride(dim);
    }
    target[i] = offset;
  }
  return result;
}

// The elements at `places` of `dense`'s memory, all where that is undefined, on the CPU.
at::Tensor elements_of(const at::Tensor& tensor, const at::Tensor& dense, const at::Tensor& places) {
  at::Tensor elements = tensor.detach();
  if (places.defined()) {
    int64_t extent = 1;
    for (int64_t dim = 0; dim < tensor.dim(); ++dim) extent += (tensor.size(dim) - 1) * tensor.stride(dim);
    const at::Tensor own = places_in(tensor, dense, places);
    elements = elements.as_strided({extent}, {1}).index_select(0, own.to(tensor.device()));
  }
  return elements.reshape({-1}).to(at::kCPU, at::kFloat);
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
    : choices_(choices), executor_(with_logits(graph)), parameters_(graph, device, Training::gradients), seed_(seed) {
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
  // Detached, since the tensor holds the hook.
  value.register_hook([this, id, seen = value.detach()](const at::Tensor& gradient) {
    if (gradient.defined()) add_activation(id, seen, gradient);
  });
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

void NoiseShares::add_activation(ValueId id, const at::Tensor& value, const at::Tensor& gradient) {
  const at::Tensor dense = value.is_non_overlapping_and_dense() ? value : value.contiguous();
  // Tensors of one size share their places.
  auto places = places_.find(dense.numel());
  if (places == places_.end()) {
    const RandomKey key{seed_, random_stream("places") + static_cast<uint32_t>(dense.numel())};
    places = places_.emplace(dense.numel(), drawn_places(dense.numel(), key, batches_)).first;
  }
  const at::Tensor values = elements_of(dense, dense, places->second);
  const at::Tensor gradients = elements_of(gradient, dense, places->second);
  const double weight = static_cast<double>(value.numel()) / static_cast<double>(std::max<int64_t>(1, values.numel()));
  std::vector<double> noises;
  for (const CodesChoice& choice : choices_.at(id)) {
    noises.push_back(weight * rounding_noise(values.const_data_ptr<float>(), gradients.const_data_ptr<float>(),
                                             values.numel(), choice.codes));
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
  for (const auto& [id, error] : weight_errors_) {
    const at::Tensor gradient = parameters_.tensor(id).grad();
    if (!gradient.defined()) continue;
    const double change = gradient.mul(error).sum(at::kDouble).item<double>();
    if (std::isfinite(change)) sums_.at(id).front().noise += change * change;
  }
  for (const auto& [id, error] : weight_errors_) parameters_.tensor(id).mutable_grad().reset();
  places_.clear();
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
