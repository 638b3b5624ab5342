// The CUDA twins of a build without CUDA: the same symbols, each throwing.
#include "kernels/bitmask.hpp"
#include "kernels/mask.hpp"
#include "kernels/score.hpp"
#include "kernels/threshold.hpp"
#include "src/core/error.hpp"

namespace pare::kernels::cuda {
namespace {

[[noreturn]] void absent(const char* function) { fail_run("{}: built without CUDA; use --device cpu", function); }

}  // namespace

void accumulate_scores(void*, const ScoreStep&, std::span<const ScoreTensor>, float*) { absent("accumulate_scores"); }
void absolute_scores(void*, std::span<const ScoreTensor>) { absent("absolute_scores"); }

Selection select_smallest(void*, std::span<const ScoreView>, int64_t, int64_t&) { absent("select_smallest"); }

void write_masks(void*, std::span<const ScoreMask>, const Selection&) { absent("write_masks"); }
void apply_masks(void*, std::span<const MaskedTensor>) { absent("apply_masks"); }

void pack_bits(void*, const uint8_t*, int64_t, uint8_t*) { absent("pack_bits"); }
void unpack_bits(void*, const uint8_t*, int64_t, uint8_t*) { absent("unpack_bits"); }
void nonzero_bits(void*, const void*, int, int64_t, uint8_t*) { absent("nonzero_bits"); }
int64_t gather_kept(void*, const void*, int, int64_t, const uint8_t*, void*) { absent("gather_kept"); }
void scatter_kept(void*, const void*, int, int64_t, const uint8_t*, void*) { absent("scatter_kept"); }
int64_t count_bits(void*, const uint8_t*, int64_t) { absent("count_bits"); }

}  // namespace pare::kernels::cuda
