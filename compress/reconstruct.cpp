#include "compress/reconstruct.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include <ATen/ops/matmul.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/zeros_like.h>

#include "compress/allocation.hpp"
#include "compress/layer_rows.hpp"
#include "compress/mask_selection.hpp"
#include "src/core/error.hpp"

namespace pare {
namespace {

// Columns that are chosen and corrected together; the rest of the matrix follows after each.
constexpr int64_t block_columns = 128;

struct Layer {
  std::string name;
  at::Tensor weight;
  at::Tensor mask;
  Shape shape;
  std::vector<WeightUse> uses;
  double sparsity = 0;
};

// Layers that read the same value are measured in one run.
struct Stage {
  ValueId data;
  std::vector<Layer> layers;
};

std::vector<Stage> stages_of(const Graph& graph, const Parameters& parameters,
                             const std::map<std::string, at::Tensor>& masks) {
  std::vector<Stage> stages;
  std::set<ValueId> seen;
  for (const Node& node : graph.nodes)
    for (const ValueId input : node.inputs) {
      if (input == no_value || !masks.contains(graph.value(input).name) || !seen.insert(input).second) continue;
      const std::string& name = graph.value(input).name;
      Layer layer{name, parameters.tensor(input), masks.at(name), *graph.value(input).shape, weight_uses(graph, input)};
      if (!has_visible_inputs(graph, input))
        fail_input("weight '{}': what it multiplies is not to be seen; leave it out with --exclude", name);
      const ValueId data = layer.uses.front().data;
      const auto stage = std::find_if(stages.begin(), stages.end(), [&](const Stage& s) { return s.data == data; });
      if (stage != stages.end()) stage->layers.push_back(std::move(layer));
      else stages.push_back({data, {std::move(layer)}});
    }
  return stages;
}

void share_sparsity(std::vector<Stage>& stages, const ReconstructConfig& config) {
  std::vector<Shape> shapes;
  for (const Stage& stage : stages)
    for (const Layer& layer : stage.layers) shapes.push_back(layer.shape);
  std::vector<double> densities(shapes.size(), 1 - config.sparsity);
  if (config.scope == "erk") densities = erk_densities(shapes, 1 - config.sparsity);
  size_t next = 0;
  for (Stage& stage : stages)
    for (Layer& layer : stage.layers) layer.sparsity = 1 - densities[next++];
}

// x H x^T summed over the rows of x.
double energy(const at::Tensor& x, const at::Tensor& hessian) {
  return at::matmul(x, hessian).mul_(x).sum(at::kDouble).item<double>();
}

double reconstruct_layer(const Graph& graph, const Layer& layer, const Hessian& hessian,
                         const ReconstructConfig& config) {
  const WeightLayout layout = weight_layout(graph, graph.find(layer.name));
  const at::Tensor matrices = weight_matrices(layout, layer.weight).clone();
  const at::Tensor masks = weight_matrices(layout, layer.mask).clone();
  const auto pruned =
      static_cast<int64_t>(std::ceil(layer.sparsity * static_cast<double>(layer.weight.numel()) - 1e-9));
  double changed = 0;
  double before = 0;
  for (int64_t g = 0; g < layout.groups; ++g) {
    const at::Tensor statistics = hessian.matrix(g);
    const at::Tensor original = matrices[g].clone();
    reconstruct_matrix(matrices[g], masks[g], inverse_factor(statistics, config.damping), config.pattern,
                       pruned * (g + 1) / layout.groups - pruned * g / layout.groups);
    changed += energy(matrices[g].sub(original), statistics);
    before += energy(original, statistics);
  }
  set_weight_matrices(layout, matrices, layer.weight);
  set_weight_matrices(layout, masks, layer.mask);
  return before > 0 ? changed / before : 0;
}

// Of some columns [outputs, n], the mask: scores are squared weights over the squared diagonal of the factor, which is
// how much the layer's error grows (Hassibi & Stork 1993). Weights of inputs that were always zero go first.
at::Tensor column_scores(const at::Tensor& columns, const InverseFactor& factor, int64_t begin) {
  const int64_t end = begin + columns.size(1);
  const at::Tensor scores = columns.div(factor.upper.diagonal().slice(0, begin, end)).square_();
  return scores.masked_fill_(factor.dead.slice(0, begin, end), 0);
}

void choose(const at::Tensor& columns, const at::Tensor& mask, const InverseFactor& factor, int64_t begin,
            int64_t pruned) {
  RankedWeight ranked{"", {}, column_scores(columns, factor, begin).contiguous(), mask.contiguous()};
  const int64_t already = mask.eq(0).sum().item<int64_t>();
  prune_smallest({&ranked, 1}, std::clamp(pruned, already, mask.numel()));
  mask.copy_(ranked.mask);
}

void choose_neighbours(const at::Tensor& columns, const at::Tensor& mask, const InverseFactor& factor, int64_t begin,
                       const Pattern& pattern) {
  RankedWeight ranked{"",
                      {{columns.size(0), columns.size(1), 1}, 1},
                      column_scores(columns, factor, begin).contiguous(),
                      mask.contiguous()};
  prune_neighbours(ranked, pattern.n, pattern.m);
  mask.copy_(ranked.mask);
}

}  // namespace

void reconstruct_matrix(const at::Tensor& matrix, const at::Tensor& mask, const InverseFactor& factor,
                        const Pattern& pattern, int64_t pruned) {
  const c10::AutoGradMode no_grad(false);
  const bool neighbours = pattern.kind == Pattern::Kind::n_of_m;
  const int64_t columns = matrix.size(1);
  // Groups of neighbours never lie in two blocks.
  const int64_t step = neighbours ? block_columns / pattern.m * pattern.m : block_columns;
  const at::Tensor diagonal = factor.upper.diagonal().to(at::kCPU).contiguous();
  int64_t done = 0;
  for (int64_t begin = 0; begin < columns; begin += step) {
    const int64_t end = std::min(begin + step, columns);
    const at::Tensor block = matrix.slice(1, begin, end);
    const at::Tensor block_mask = mask.slice(1, begin, end);
    if (!neighbours) {
      choose(block, block_mask, factor, begin, pruned * end / columns - done);
      done += block_mask.eq(0).sum().item<int64_t>();
    }
    const at::Tensor errors = at::zeros_like(block, at::MemoryFormat::Contiguous);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t at = i - begin;
      if (neighbours && at % pattern.m == 0) {
        const int64_t last = std::min<int64_t>(at + pattern.m, end - begin);
        choose_neighbours(block.slice(1, at, last), block_mask.slice(1, at, last), factor, i, pattern);
      }
      const at::Tensor column = block.select(1, at);
      const at::Tensor error =
          column.masked_fill(block_mask.select(1, at).ne(0), 0).div_(diagonal.const_data_ptr<float>()[i]);
      block.slice(1, at).sub_(at::outer(error, factor.upper[i].slice(0, i, end)));
      column.masked_fill_(block_mask.select(1, at).eq(0), 0);
      errors.select(1, at).copy_(error);
    }
    if (end < columns) matrix.slice(1, end).sub_(at::matmul(errors, factor.upper.slice(0, begin, end).slice(1, end)));
  }
}

std::map<std::string, double> reconstruct(const Graph& graph, const Parameters& parameters,
                                          const std::map<std::string, at::Tensor>& masks,
                                          const ReconstructConfig& config, const RunSamples& run_samples) {
  const c10::AutoGradMode no_grad(false);
  std::vector<Stage> stages = stages_of(graph, parameters, masks);
  share_sparsity(stages, config);
  std::map<std::string, double> errors;
  for (const Stage& stage : stages) {
    std::vector<ValueId> weights;
    for (const Layer& layer : stage.layers) weights.push_back(graph.find(layer.name));
    const LayerHessians hessians(graph, weights, stage.layers.front().weight.device(), run_samples);
    for (const Layer& layer : stage.layers)
      with_context(fmt::format("weight '{}'", layer.name), [&] {
        errors[layer.name] = reconstruct_layer(graph, layer, hessians.of(graph.find(layer.name)), config);
      });
  }
  return errors;
}

}  // namespace pare
