// Named tensors in an HDF5 file: one table with a row a tensor, and one blob with all their bytes. README.md describes
// the layout.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "formats/hdf5_file.hpp"
#include "formats/hdf5_layout.hpp"
#include "formats/onnx_model.hpp"

namespace pare {

// A tensor's bytes as they lie in the blob.
struct EncodedTensor {
  StorageLayout layout;
  std::string values;  // "raw", "packed:n" or "rans:n"
  ByteRope bytes;      // the places of the layout, then the stored elements
};

// The smallest of the layouts and values that the type allows; of equal ones dense. Integers take the bits that their
// values need; with `entropy_code` elements of up to 32 bits may be entropy-coded. Keeps every bit: -0.0 and NaN are
// stored elements.
EncodedTensor encode_tensor(const Tensor& tensor, bool entropy_code = false);

// The inverse: the row-major bytes of a tensor of that type and shape. Throws (exit 3) when `stored` does not fit them.
Bytes decode_tensor(const StorageLayout& layout, const std::string& values, DType dtype, const Shape& shape,
                    const Bytes& stored);

// The number s for which s * base[i], rounded to float32, is values[i] for each i, bit for bit; nullopt where there is
// none (as between a quantized bias' scales and its weight's). Both are float32, and finite.
std::optional<float> scale_between(const Tensor& base, const Tensor& values);

// A row of the table with its decoded tensor.
struct StoredTensor {
  NamedTensor named;
  bool intact = false;  // the decoded bytes have the hash that was stored with them
};

// Creates `tensors/index` and `tensors/data` in `group`. Names must hold no NUL; strings cannot be stored.
void write_tensors(Hdf5Group group, const std::vector<NamedTensor>& tensors, bool entropy_code = false);

// All tensors in the order in which they were written. Throws (exit 3) naming the first tensor that cannot be decoded.
std::vector<StoredTensor> read_tensors(const Hdf5Group& group);

}  // namespace pare
