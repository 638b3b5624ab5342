// Weights as integers with scales: which groups share a scale, the tensors of ONNX that hold them, and how close they
// are.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernels/weight_codes.hpp"
#include "src/graph/tensor.hpp"

namespace pare {

// "tensor", "channel" or "block:N".
struct Granularity {
  enum class Kind { tensor, channel, block };
  Kind kind = Kind::channel;
  int64_t block = 0;  // of Kind::block

  // Throws (exit 2) with what is possible.
  static Granularity parse(const std::string& text);
};

// The codes of `bits` (2 to 8), all of them, or without the lowest so that they are symmetric.
kernels::CodeRange signed_codes(int bits);
kernels::CodeRange symmetric_codes(int bits);

// How a scale is found: from the largest magnitude, or with the least squared error of the weights.
enum class ScaleSearch { absmax, mse };

// Where the scales of a weight lie: `block` neighbours along `axis` share one (0: all of the axis' coordinates have one
// each, shared by everything else; with `whole` one for the tensor).
struct ScaleGroups {
  Shape shape;
  size_t axis = 0;
  int64_t block = 0;
  bool whole = false;

  // As the kernels see it.
  kernels::ScaleLayout layout() const;
  // The shape of the ONNX tensor of scales: [], [shape[axis]], or the weight's with the axis in blocks.
  Shape scale_shape() const;
};

struct EncodedWeight {
  ScaleGroups groups;
  kernels::CodeRange range{};
  std::vector<uint8_t> codes;  // a sign-extended byte an element
  std::vector<float> scale;

  // (code * scale) for each element.
  std::vector<float> decoded() const;
  // The scale of each element.
  std::vector<float> element_scales() const;
};

// Squared change of a layer's outputs on calibration samples over their squared size.
struct OutputErrors {
  double nearest = 0;         // with every weight rounded to nearest
  double rounded = 0;         // with the codes that were chosen
  bool kept_nearest = false;  // no others were better
};

struct RoundedWeight {
  EncodedWeight encoded;
  std::optional<OutputErrors> errors;  // where samples were measured
};

// Rounds to nearest. `values` must be finite. Groups of zeros have the least scale of the others; 2^-10 where all are
// zero.
EncodedWeight encode_nearest(const std::vector<float>& values, const ScaleGroups& groups, kernels::CodeRange range,
                             ScaleSearch search);

// The codes as an ONNX tensor: int4 where all codes of `range` fit it and `narrow`, else int8.
Tensor codes_tensor(const EncodedWeight& weight, bool narrow);
Tensor scale_tensor(const EncodedWeight& weight);

// 10 log10(sum reference^2 / sum (reference - values)^2) in decibel; 200 where they are equal.
double snr_db(const std::vector<float>& reference, const std::vector<float>& values);

// The constant's values as float32. Throws (exit 3) naming it when one is not finite.
std::vector<float> finite_floats(const Tensor& tensor, const std::string& name);

}  // namespace pare
