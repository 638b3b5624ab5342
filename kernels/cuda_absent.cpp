// The CUDA twins of a build without CUDA: the same symbols, each throwing.
#include "kernels/bitmask.hpp"
#include "kernels/block_mask.hpp"
#include "kernels/fake_quant.hpp"
#include "kernels/mask.hpp"
#include "kernels/nm_mask.hpp"
#include "kernels/quantize.hpp"
#include "kernels/range.hpp"
#include "kernels/score.hpp"
#include "kernels/threshold.hpp"
#include "src/core/error.hpp"

namespace pare::kernels::cuda {
namespace {

[[noreturn]] void absent(const char* function) { fail_run("{}: built without CUDA; use --device cpu", function); }

}  // namespace

void accumulate_scores(void*, const ScoreStep&, std::span<const ScoreTensor>, float*) { absent("accumulate_scores"); }

Selection select_smallest(void*, std::span<const ScoreView>, int64_t, int64_t&) { absent("select_smallest"); }

void write_masks(void*, std::span<const ScoreMask>, const Selection&) { absent("write_masks"); }
void apply_masks(void*, std::span<const MaskedTensor>) { absent("apply_masks"); }

void pack_bits(void*, const uint8_t*, int64_t, uint8_t*) { absent("pack_bits"); }
void unpack_bits(void*, const uint8_t*, int64_t, uint8_t*) { absent("unpack_bits"); }
void nonzero_bits(void*, const void*, int, int64_t, uint8_t*) { absent("nonzero_bits"); }
int64_t gather_kept(void*, const void*, int, int64_t, const uint8_t*, void*) { absent("gather_kept"); }
void scatter_kept(void*, const void*, int, int64_t, const uint8_t*, void*) { absent("scatter_kept"); }
int64_t count_bits(void*, const uint8_t*, int64_t) { absent("count_bits"); }

void write_nm_masks(void*, const float*, AxisView, int, int, uint8_t*) { absent("write_nm_masks"); }
void score_blocks(void*, const float*, BlockGrid, float*) { absent("score_blocks"); }
void spread_block_mask(void*, const uint8_t*, BlockGrid, uint8_t*) { absent("spread_block_mask"); }

void observe_range(void*, const Observed&, ValueRange*) { absent("observe_range"); }
void observe_histogram(void*, const Observed&, Histogram*) { absent("observe_histogram"); }
void observe_channel_absmax(void*, const Observed&, int64_t, int64_t, float*) { absent("observe_channel_absmax"); }

void quantize(void*, const float*, const ScaleLayout&, const float*, const uint8_t*, IntegerType, uint8_t*) {
  absent("quantize");
}
void dequantize(void*, const uint8_t*, const ScaleLayout&, const float*, const uint8_t*, IntegerType, float*) {
  absent("dequantize");
}
void fake_quantize(void*, const FakeQuant&, void*) { absent("fake_quantize"); }
void fake_quantize_backward(void*, const FakeQuant&, const void*, float, void*, float*, float*) {
  absent("fake_quantize_backward");
}
void pack_nibbles(void*, const uint8_t*, int64_t, uint8_t*) { absent("pack_nibbles"); }
void unpack_nibbles(void*, const uint8_t*, int64_t, IntegerType, uint8_t*) { absent("unpack_nibbles"); }

}  // namespace pare::kernels::cuda
