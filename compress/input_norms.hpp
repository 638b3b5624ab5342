// How large the inputs of layers are, measured while a model runs over calibration samples.
#pragma once

#include <set>

#include "compress/weight_layout.hpp"
#include "src/exec/executor.hpp"

namespace pare {

// For wanda (Sun et al., A Simple and Effective Pruning Approach for Large Language Models, 2023): the L2 norm over all
// samples and positions of each input channel of the layers that read a weight. Memory does not grow with the samples.
class InputNorms {
 public:
  // Watches the inputs of the weights of that name. Keeps a reference to the graph. Recurrent state cannot be watched:
  // such weights get no norm.
  InputNorms(const Graph& graph, const std::set<std::string>& weights);
  InputNorms(const InputNorms&) = delete;
  InputNorms& operator=(const InputNorms&) = delete;

  // To be given to Executor::run.
  const Observation& observation() const { return observation_; }

  // By weight: the norms in a shape that broadcasts to the weight's.
  std::map<std::string, at::Tensor> norms() const;

 private:
  struct Watched {
    std::string name;
    WeightUse use;
    Shape shape;  // of the weight
    at::Tensor
        squares;  // fp32, summed over runs, in a shape that broadcasts to the weight's; undefined before the first
  };

  void see(ValueId id, const at::Tensor& value);

  std::vector<Watched> watched_;
  Observation observation_;
};

}  // namespace pare
