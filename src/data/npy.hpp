// NumPy's arrays (.npy), as numpy.lib.format describes them: versions 1 to 3, either byte order, C and Fortran order.
#pragma once

#include <string>

#include "src/data/open_data.hpp"

namespace pare {

// Decodes a whole .npy file; data that lies as wanted is aliased. Throws (exit 3) naming `where` when it is malformed,
// cut off, longer than its header says, or of a type that is no integer, bool or float of up to 64 bits.
Tensor read_npy(const Bytes& bytes, const std::string& where);

// True for a file that starts as .npy.
bool is_npy(const std::string& path);
// The array as a data set named after the file.
DatasetPtr open_npy(const std::string& path, const DataRequest& request);

}  // namespace pare
