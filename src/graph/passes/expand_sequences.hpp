// Sequences and optional values in terms of tensors.
#pragma once

#include "src/graph/graph.hpp"

namespace pare {

// Replaces what reads sequences inside of one graph (SequenceAt, SequenceLength, ConcatFromSequence) by Slice, Gather
// and Concat of the tensors that SequenceConstruct, SequenceInsert, SequenceErase and SplitToSequence put into them,
// and Optional, OptionalHasElement and OptionalGetElement by the tensor or by whether there is one. Positions must
// follow from constants and sizes, but for parts of length 1 that SplitToSequence cuts. What cannot be followed stays:
// a sequence that a Loop carries, an input or output of the graph. Throws (exit 3) for positions out of range.
void expand_sequences(Graph& graph);

}  // namespace pare
