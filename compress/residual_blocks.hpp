// Residual blocks y = x + f(x) whose branch f can be left out whole, found in the graph alone (as layers are dropped in
// He et al., Identity Mappings in Deep Residual Networks, 2016; Veit et al., Residual Networks Behave Like Ensembles of
// Relatively Shallow Networks, 2016).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "src/graph/graph.hpp"

namespace pare {

struct ResidualBlock {
  size_t add = 0;               // index of the Add among the graph's nodes
  std::string name;             // of the Add
  ValueId shortcut = no_value;  // x
  ValueId branch = no_value;    // f(x)
  std::vector<size_t> nodes;    // of f, in the graph's order: from x to f(x), read nowhere else
};

// An Add whose branches stay.
struct KeptAdd {
  std::string node;
  std::string reason;
};

struct ResidualBlocks {
  std::vector<ResidualBlock> blocks;  // in the order of the graph; one may lie in the branch of another
  std::vector<KeptAdd> kept;
};

// Every Add of two computed values of which one is computed from the other, is of the same shape, holds weights in
// between, and shares none of these nodes with anything else. `shapes` by input name where the file leaves sizes open.
ResidualBlocks residual_blocks(const Graph& graph, const std::map<std::string, Shape>& shapes = {});

// The graph without the branches that are `removed` (by block): x takes the place of the sum, and what only the branch
// read goes. Verified, shapes inferred.
Graph without_blocks(const Graph& graph, const std::vector<ResidualBlock>& blocks, const std::vector<bool>& removed);

// The graph with those branches times zero: it computes what without_blocks() computes.
Graph with_zeroed_blocks(const Graph& graph, const std::vector<ResidualBlock>& blocks,
                         const std::vector<bool>& removed);

// The blocks that --include and --exclude leave: globs over the names of the Add, of the branch's nodes and of the
// tensors that these read. Throws (exit 2) naming a glob that matches no block.
std::vector<bool> select_blocks(const Graph& graph, const std::vector<ResidualBlock>& blocks,
                                const std::vector<std::string>& include, const std::vector<std::string>& exclude);

}  // namespace pare
