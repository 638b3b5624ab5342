// The kinds of data that pare reads, in words: for the command line, which links no reader.
#pragma once

#include <array>
#include <string_view>

namespace pare {

struct DataKindName {
  std::string_view name;    // as in --data-kind
  std::string_view layout;  // what it looks like
};

// In the order in which "auto" tries them.
inline constexpr std::array<DataKindName, 6> data_kind_names{{
    {"idx",
     "a folder with train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, "
     "each plain or .gz"},
    {"npz", "a .npz of named arrays, samples first"},
    {"npy", "one .npy array, samples first"},
    {"h5", "an HDF5 file of named datasets, samples first"},
    {"test-sets", "a folder of test_data_set_N folders with input_N.pb and output_N.pb (TensorProto)"},
    {"images", "a folder of JPEG and PNG files, or of one folder a class with them, or of train and val with those"},
}};

}  // namespace pare
