// Runs a graph on ATen: a plan of steps in topological order. With autograd on, gradients flow to the parameters'
// leaves.
#pragma once

#include "src/exec/ops.hpp"
#include "src/exec/parameters.hpp"

namespace pare {

// Sees values while a graph runs: calibration, statistics of activations.
struct Observation {
  std::vector<bool> watched;  // by ValueId; shorter is padded with false. Inputs and computed values, not constants
  // Called once a run for each watched value, in the order of the nodes (graph inputs first). The next node may
  // overwrite the tensor: what is kept must be copied.
  std::function<void(ValueId, const at::Tensor&)> seen;
  // For who runs sample after sample: whether more would tell nothing new. Empty: never.
  std::function<bool()> enough = {};

  bool watches(ValueId id) const {
    return id != no_value && static_cast<size_t>(id) < watched.size() && watched[static_cast<size_t>(id)];
  }
};

// Where a plan's constants come from: Parameters of the same graph, or the plan itself (subgraphs).
enum class Constants { given, own };

// Whether parameters may change from run to run; where they are fixed, every run must be given the same ones.
enum class Weights { changing, fixed };

class Executor {
 public:
  // Plans the graph; throws (exit 3) naming the first node that cannot run. Keeps no reference to the graph.
  explicit Executor(const Graph& graph, Constants constants = Constants::given, Weights weights = Weights::changing);

  // Runs all nodes. `inputs` in the order of Graph::inputs, on the parameters' device. Returns the outputs in the order
  // of Graph::outputs. A value is let go after its last reader. Errors of ATen become exit 3 with the node's name.
  std::vector<at::Tensor> run(const Parameters& parameters, std::span<const at::Tensor> inputs, bool training,
                              const Observation* observation = nullptr) const;

  size_t output_count() const { return outputs_.size(); }

 private:
  struct PlannedStep {
    Step step;
    std::string label;
    std::vector<ValueId> inputs;
    std::vector<ValueId> outputs;
    std::vector<ValueId> released;  // values that no later step reads
  };

  std::vector<PlannedStep> steps_;
  std::vector<at::Tensor> shared_;  // by ValueId: what every run shares beside the parameters, on the CPU
  std::vector<ValueId> inputs_;
  std::vector<ValueId> outputs_;
};

}  // namespace pare
