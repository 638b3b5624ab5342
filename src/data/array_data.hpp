// Data sets made of named arrays in memory, whatever file they came from.
#pragma once

#include <string>
#include <vector>

#include "formats/onnx_model.hpp"
#include "src/data/open_data.hpp"

namespace pare {

// The arrays as a data set. Those whose first dimension is the number of samples have one element a sample; others are
// shared by all samples. The number is that of the labels; else the largest first dimension, where request.graph is
// known of those arrays that are not all that their inputs take: [3,576] for an input [1,576]. If all of them are, it
// is that of the first float input's. An array that is all that an
// input with a fixed first dimension takes, where that is not the batch size, is shared: a state [2,1,128], however
// many samples there are. Names that end in `_train`
// and `_test` are parts of the data: the ending goes, and other parts are left out. Labels are request.labels, else an
// array named labels, label, y, targets or target: integers [N] or [N,1] are classes, anything else is a target to
// regress to. Throws (exit 2) for a split or labels that are not there, (exit 3) for data without samples.
DatasetPtr dataset_of_arrays(const std::string& path, std::vector<NamedTensor> arrays, const DataRequest& request);

}  // namespace pare
