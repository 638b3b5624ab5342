// Data sets made of named arrays in memory, whatever file they came from.
#pragma once

#include <string>
#include <vector>

#include "formats/onnx_model.hpp"
#include "src/data/open_data.hpp"

namespace pare {

// The arrays as a data set. Those whose first dimension is the number of samples have one element a sample; others are
// shared by all samples. The number is that of the labels, else the largest first dimension. Names that end in `_train`
// and `_test` are parts of the data: the ending goes, and other parts are left out. Labels are request.labels, else an
// array named labels, label, y, targets or target: integers [N] or [N,1] are classes, anything else is a target to
// regress to. Throws (exit 2) for a split or labels that are not there, (exit 3) for data without samples.
DatasetPtr dataset_of_arrays(const std::string& path, std::vector<NamedTensor> arrays, const DataRequest& request);

}  // namespace pare
