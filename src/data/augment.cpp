#include "src/data/augment.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "src/core/error.hpp"
#include "src/core/suggest.hpp"

namespace pare {
namespace {

void flip(Placement& placement, int64_t, int64_t, int64_t width, RandomKey key, int64_t index, int64_t epoch) {
  if (random_below(2, key, static_cast<uint64_t>(index), static_cast<uint32_t>(epoch)) == 1)
    placement.columns = placement.columns.mirrored(width);
}

void shift(Placement& placement, int64_t amount, int64_t height, int64_t width, RandomKey key, int64_t index,
           int64_t epoch) {
  const auto choices = static_cast<uint64_t>(2 * amount + 1);
  const uint64_t both =
      random_below(choices * choices, key, static_cast<uint64_t>(index), static_cast<uint32_t>(epoch));
  placement.rows = placement.rows.shifted(static_cast<int64_t>(both / choices) - amount, height);
  placement.columns = placement.columns.shifted(static_cast<int64_t>(both % choices) - amount, width);
}

// Cropping H x W out of an image padded by N zeros on each side is a shift by up to N: `crop` is the usual name of the
// same draw.
constexpr std::array<AugmentationKind, 3> kinds{{
    {"flip", "", "mirror left and right, every second time", flip},
    {"shift", "N", "move by up to N pixels in each direction, zeros enter", shift},
    {"crop", "N", "pad by N zeros and crop at random (the same as shift:N)", shift},
}};

[[noreturn]] void unknown_kind(std::string_view name) {
  std::vector<std::string> names;
  std::string usages;
  for (const AugmentationKind& kind : kinds) {
    names.emplace_back(kind.name);
    usages +=
        fmt::format("{}{}{}{}", usages.empty() ? "" : ", ", kind.name, kind.argument.empty() ? "" : ":", kind.argument);
  }
  fail_usage("--augment: unknown augmentation (got '{}', expected some of: {}){}", name, usages,
             did_you_mean(name, names));
}

Augmentation parse_one(std::string_view text) {
  const size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  const auto* kind =
      std::find_if(kinds.begin(), kinds.end(), [&](const AugmentationKind& row) { return row.name == name; });
  if (kind == kinds.end()) unknown_kind(name);
  Augmentation augmentation{kind, 0};
  if (kind->argument.empty()) {
    if (colon != std::string_view::npos) fail_usage("--augment: {} takes no number (got '{}')", name, text);
    return augmentation;
  }
  const std::string_view number = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), augmentation.amount);
  constexpr int64_t most = 1 << 20;
  if (error != std::errc{} || end != number.data() + number.size() || augmentation.amount < 1 ||
      augmentation.amount > most)
    fail_usage("--augment: bad number of pixels (got '{}', expected {}:{} with {} from 1)", text, name, kind->argument,
               kind->argument);
  return augmentation;
}

}  // namespace

AxisMap AxisMap::shifted(int64_t distance, int64_t size) const {
  const int64_t from = std::clamp<int64_t>(begin + distance, 0, size);
  return {from, std::clamp(end + distance, from, size), step, offset - step * distance};
}

AxisMap AxisMap::mirrored(int64_t size) const { return {size - end, size - begin, -step, offset + step * (size - 1)}; }

std::span<const AugmentationKind> augmentation_kinds() { return kinds; }

std::vector<Augmentation> parse_augmentations(std::string_view list) {
  std::vector<Augmentation> augmentations;
  for (size_t start = 0; !list.empty() && start <= list.size();) {
    const size_t comma = std::min(list.find(',', start), list.size());
    augmentations.push_back(parse_one(list.substr(start, comma - start)));
    for (size_t i = 0; i + 1 < augmentations.size(); ++i)
      if (augmentations[i].kind == augmentations.back().kind)
        fail_usage("--augment: {} is given twice (got '{}')", augmentations[i].kind->name, list);
    start = comma + 1;
  }
  return augmentations;
}

void check_augmentations(std::span<const Augmentation> augmentations, const Shape& sample_shape) {
  if (augmentations.empty()) return;
  if (sample_shape.size() != 3)
    fail_usage("--augment: {} needs images (got samples of {}, expected channels x rows x columns)",
               augmentations[0].kind->name, shape_text(sample_shape));
  for (const Augmentation& augmentation : augmentations)
    if (augmentation.amount >= std::min(sample_shape[1], sample_shape[2]))
      fail_usage("--augment: {}:{} can move the whole image away (the samples are {}); give a smaller number",
                 augmentation.kind->name, augmentation.amount, shape_text(sample_shape));
}

Placement draw_placement(std::span<const Augmentation> augmentations, int64_t height, int64_t width, uint64_t seed,
                         int64_t epoch, int64_t index) {
  Placement placement{AxisMap::identity(height), AxisMap::identity(width)};
  RandomKey key{seed, random_stream("augment")};
  for (const Augmentation& augmentation : augmentations) {
    augmentation.kind->place(placement, augmentation.amount, height, width, key, index, epoch);
    ++key.stream;
  }
  return placement;
}

}  // namespace pare
