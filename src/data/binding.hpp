// Which array of the data goes to which input of a model.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "src/data/dataset.hpp"
#include "src/graph/graph.hpp"

namespace pare {

// How one input of a model is filled.
struct BoundInput {
  size_t field = 0;
  DType dtype = DType::float32;  // what the model takes; values that it does not have are an error
  bool preprocessed = true;      // scaled, normalised and augmented
  bool whole = false;            // a sample has the batch dimension already
  ChannelOrder order = {};       // of images

  bool operator==(const BoundInput&) const = default;
};

struct Binding {
  std::vector<BoundInput> inputs = {{}};  // in the order of the model's inputs
  int64_t batch = 0;                      // the only batch size that the model can take; 0: any

  bool operator==(const Binding&) const = default;
};

// Input `input` of the model takes array `key` of the data.
struct NamedBinding {
  std::string input;
  std::string key;
};

// Which of the arrays `names` each input of the graph takes: by `named`, else the array of the same name (`input_N` is
// the N-th input's), else the last input left the last array left. Nothing where there is none, and for names of
// `named` that do not exist.
std::vector<std::optional<size_t>> match_arrays(const Graph& graph, const std::vector<std::string>& names,
                                                const std::vector<NamedBinding>& named);

// Whether an array of this shape is all that an input takes, its batch dimension included: as many dimensions, and the
// same sizes where the input fixes them.
bool is_whole_input(const Port& port, const Shape& shape);

// Binds every input of the graph: by `named`, else to the array of the same name (`input_N` is the N-th input's), else
// the last input left to the last array left. The model's first float input is preprocessed. A model whose batch
// dimension is fixed takes batches of that size, one with a state without batch dimension, or with samples that have it
// already, batches of 1. `layout` is where the model has the channels of images: samples that fit only with their
// channels at the other end are turned, if they are preprocessed. Throws: exit 2 for a name of `named` that does not
// exist; exit 3 for an input without array and for arrays that do not fit, with input, array and dimension named.
Binding bind_inputs(const Graph& graph, const Dataset& dataset, const std::vector<NamedBinding>& named,
                    Layout layout = Layout::unknown);

}  // namespace pare
