// Where the user's ONNX Runtime is.
#pragma once

#include <string>

namespace pare {

// The path of libonnxruntime.so: PARE_ORT (the library, or its folder), else that of the onnxruntime wheel of the
// active virtual environment, of python3, of pare's cache, of the user or of the system; empty when there is none.
// Throws (exit 2) when PARE_ORT names none.
std::string find_onnx_runtime();

}  // namespace pare
