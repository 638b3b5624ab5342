// Softmax as opsets before 13 define it, in terms of today's.
#pragma once

#include "src/graph/graph.hpp"

namespace pare {

// Before opset 13, Softmax, LogSoftmax and Hardmax flatten their input to [product before axis, product from axis] and
// normalise the second dimension; axis is 1 by default. Where all that is flattened is one dimension, in place, the
// node gets that axis; elsewhere Flatten, the operator over the last axis, and Reshape back replace it.
void expand_flattening_softmax(Graph& graph);

}  // namespace pare
