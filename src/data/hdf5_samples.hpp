// Samples in HDF5 files: every numeric dataset is an array.
#pragma once

#include <string>

#include "src/data/open_data.hpp"

namespace pare {

// True for a file that starts as HDF5.
bool is_hdf5_samples(const std::string& path);

// Reads every dataset of integers, floats or h5py's bool into memory, compressed ones too; others are left out. Arrays
// are named by their path without the leading slash. Throws (exit 3) naming file and dataset when one is damaged or
// larger than its file can hold.
DatasetPtr open_hdf5_samples(const std::string& path, const DataRequest& request);

}  // namespace pare
