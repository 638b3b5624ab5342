// Which values in the middle of student and teacher are made alike. From the graphs alone.
#pragma once

#include <string>
#include <vector>

#include "src/graph/graph.hpp"
#include "src/train/feature_loss.hpp"

namespace pare {

struct NamedPair {
  std::string student;
  std::string teacher;
  Shape adapter;      // of adapter_shape(); empty where none is needed
  bool open = false;  // the graphs do not tell all sizes, which may differ
};

enum class Pairing {
  none,
  same,       // blocks that both have under one name with one shape: student and teacher are the same network
  automatic,  // the same; where there are none, blocks in order whose shapes fit the loss
};

// At most four pairs of blocks.
std::vector<NamedPair> pair_blocks(const Graph& student, const Graph& teacher, Pairing pairing,
                                   const FeatureLoss& loss);

// "a:b,c:d" as pairs of values. Throws exit 2 for a list that cannot be read or an unknown value, exit 3 for shapes
// that do not fit the loss.
std::vector<NamedPair> read_pairs(const Graph& student, const Graph& teacher, const std::string& list,
                                  const FeatureLoss& loss);

}  // namespace pare
