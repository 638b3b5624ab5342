// The fixed arithmetic between stored samples and the model's input.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "src/graph/tensor.hpp"

namespace pare {

// input = (stored * scale - mean) / std, computed in double and rounded once to float.
struct Preprocess {
  std::optional<double> scale;  // default: 1/255 for uint8 samples, 1 for every other type
  std::vector<double> mean;     // empty (0), one value for all channels, or one a channel
  std::vector<double> std;      // the same; empty means 1

  // Whether any of it was asked for.
  bool given() const { return scale || !mean.empty() || !std.empty(); }
};

// A Preprocess made ready for samples of one shape and type. Channels are the first dimension of samples with two or
// more; a sample [F] is one channel.
class Normalizer {
 public:
  using Table = std::array<float, 256>;

  // Throws (exit 2) when mean or std have neither one value nor one a channel, when a value is not finite, or scale or
  // std is 0.
  Normalizer(const Preprocess& preprocess, const Shape& sample_shape, DType element_type);

  int64_t channels() const { return static_cast<int64_t>(constants_.size()); }
  float operator()(int64_t channel, float stored) const {
    const Constants& c = constants_[static_cast<size_t>(channel)];
    return static_cast<float>((static_cast<double>(stored) * c.scale - c.mean) / c.std);
  }
  // The results for every uint8 value in one channel.
  const Table& table(int64_t channel) const { return tables_[static_cast<size_t>(channel)]; }

 private:
  struct Constants {
    double scale;
    double mean;
    double std;
  };

  std::vector<Constants> constants_;
  std::vector<Table> tables_;
};

}  // namespace pare
