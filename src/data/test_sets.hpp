// Folders of test data as the ONNX model zoo and the backend tests of the `onnx` package have them: test_data_set_0,
// test_data_set_1 ... each with input_0.pb, input_1.pb ... and output_0.pb ..., every file one TensorProto.
#pragma once

#include <string>

#include "src/data/open_data.hpp"

namespace pare {

// True for a folder with a test_data_set_* folder, and for such a folder itself.
bool is_test_sets(const std::string& path);

// Every set is one sample whose arrays have the batch dimension already; outputs become targets. Arrays are named as
// the first set's TensorProtos name them, else input_N and output_N. Throws (exit 3) naming the file when one is
// malformed or missing, or has another type or shape than in the first set.
DatasetPtr open_test_sets(const std::string& path, const DataRequest& request);

}  // namespace pare
