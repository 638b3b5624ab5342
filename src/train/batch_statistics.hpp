// Running statistics of batch normalizations, measured anew once the weights are final.
#pragma once

#include "src/data/loader.hpp"
#include "src/exec/executor.hpp"

namespace pare {

// Replaces mean and variance of every BatchNormalization node of `graph` by their averages over the loader's next
// epoch, at most `batches` batches: moving averages of training lag behind the weights and belong to no single state of
// them (Izmailov et al. 2018, section 3.2, "update batch norm statistics"). `executor` runs `graph` on `parameters`.
// Nodes with momentum 1 keep theirs. Returns how many pairs of statistics are new.
int reestimate_batch_statistics(const Graph& graph, const Executor& executor, Parameters& parameters, Loader& loader,
                                int64_t batches);

}  // namespace pare
