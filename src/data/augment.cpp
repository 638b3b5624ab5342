#include "src/data/augment.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numbers>

#include "src/core/error.hpp"
#include "src/core/suggest.hpp"

namespace pare {
namespace {

uint64_t below(uint64_t bound, const AugmentationDraw& draw) {
  return random_below(bound, draw.key, static_cast<uint64_t>(draw.index), static_cast<uint32_t>(draw.epoch));
}

// Uniform over [0, 1).
double unit(uint32_t word) { return word * 0x1p-32; }

double between(double low, double high, uint32_t word) { return low + (high - low) * unit(word); }

void flip(ImageChange& change, const AugmentationDraw& draw) {
  if (below(2, draw) == 1) change.placement.columns = change.placement.columns.mirrored(draw.width);
}

void shift(ImageChange& change, const AugmentationDraw& draw) {
  const auto most = static_cast<int64_t>(draw.amount);
  const auto choices = static_cast<uint64_t>(2 * most + 1);
  const uint64_t both = below(choices * choices, draw);
  Placement& placement = change.placement;
  placement.rows = placement.rows.shifted(static_cast<int64_t>(both / choices) - most, draw.height);
  placement.columns = placement.columns.shifted(static_cast<int64_t>(both % choices) - most, draw.width);
}

void erase(ImageChange& change, const AugmentationDraw& draw) {
  constexpr double probability = 0.5;
  constexpr double least_area = 0.02, most_area = 0.4;
  constexpr double least_ratio = 0.3, most_ratio = 1 / 0.3;
  constexpr uint64_t attempts = 100;  // the paper tries for ever; what does not fit in a hundred is left whole
  const uint64_t sample_seed =
      random_u64(draw.key, static_cast<uint64_t>(draw.index), static_cast<uint32_t>(draw.epoch));
  const RandomKey key{sample_seed, draw.key.stream};
  if (unit(random_block(key, 0)[0]) >= probability) return;
  const double pixels = static_cast<double>(draw.height) * static_cast<double>(draw.width);
  for (uint64_t attempt = 1; attempt <= attempts; ++attempt) {
    const RandomBlock words = random_block(key, attempt);
    const double area = between(least_area, most_area, words[0]) * pixels;
    const double ratio = between(least_ratio, most_ratio, words[1]);
    const Rectangle rectangle{static_cast<int64_t>(unit(words[2]) * static_cast<double>(draw.height)),
                              static_cast<int64_t>(unit(words[3]) * static_cast<double>(draw.width)),
                              std::lround(std::sqrt(area * ratio)), std::lround(std::sqrt(area / ratio))};
    if (rectangle.top + rectangle.height > draw.height || rectangle.left + rectangle.width > draw.width) continue;
    change.erased = rectangle;
    change.noise_seed = sample_seed;
    return;
  }
}

void jitter(ImageChange& change, const AugmentationDraw& draw) {
  constexpr double strength = 0.4;
  const RandomBlock words =
      random_block(draw.key, static_cast<uint64_t>(draw.index), static_cast<uint32_t>(draw.epoch));
  change.brightness = between(1 - strength, 1 + strength, words[0]);
  change.contrast = between(1 - strength, 1 + strength, words[1]);
}

// Cropping H x W out of an image padded by N zeros on each side is a shift by up to N: `crop` is the usual name of the
// same draw.
constexpr std::array<AugmentationKind, 6> kinds{{
    {"flip", "", flip},       // left and right, every second time
    {"shift", "N", shift},    // by up to N pixels in each direction, zeros enter
    {"crop", "N", shift},     // of the image padded by N zeros
    {"erase", "", erase},     // a random rectangle becomes noise, every second time
    {"jitter", "", jitter},   // brightness and contrast, by up to 40 %
    {"mixup", "A", nullptr},  // with another sample of the batch, shares from Beta(A, A)
}};

std::string usage_of(const AugmentationKind& kind) {
  return fmt::format("{}{}{}", kind.name, kind.argument.empty() ? "" : ":", kind.argument);
}

[[noreturn]] void unknown_kind(std::string_view name) {
  std::vector<std::string> names;
  for (const AugmentationKind& kind : kinds) names.emplace_back(kind.name);
  fail_usage("--augment: unknown augmentation (got '{}', expected some of: {}){}", name, augmentation_usages(),
             did_you_mean(name, names));
}

bool read_amount(std::string_view text, bool whole, double& amount) {
  constexpr int64_t most = 1 << 20;
  const char* const end = text.data() + text.size();
  if (!whole) {
    const auto [stop, error] = std::from_chars(text.data(), end, amount);
    return error == std::errc{} && stop == end && amount > 0 && amount <= static_cast<double>(most);
  }
  int64_t pixels = 0;
  const auto [stop, error] = std::from_chars(text.data(), end, pixels);
  amount = static_cast<double>(pixels);
  return error == std::errc{} && stop == end && pixels >= 1 && pixels <= most;
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
  const bool whole = kind->argument == "N";
  if (!read_amount(colon == std::string_view::npos ? "" : text.substr(colon + 1), whole, augmentation.amount))
    fail_usage("--augment: bad value (got '{}', expected {} with {} {})", text, usage_of(*kind), kind->argument,
               whole ? "pixels of at least 1" : "above 0");
  return augmentation;
}

}  // namespace

AxisMap AxisMap::shifted(int64_t distance, int64_t size) const {
  const int64_t from = std::clamp<int64_t>(begin + distance, 0, size);
  return {from, std::clamp(end + distance, from, size), step, offset - step * distance};
}

AxisMap AxisMap::mirrored(int64_t size) const { return {size - end, size - begin, -step, offset + step * (size - 1)}; }

std::string augmentation_usages() {
  std::string usages;
  for (const AugmentationKind& kind : kinds) usages += (usages.empty() ? "" : ", ") + usage_of(kind);
  return usages;
}

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
  for (const Augmentation& augmentation : augmentations) {
    const AugmentationKind& kind = *augmentation.kind;
    if (kind.draw == nullptr) continue;
    if (sample_shape.size() != 3)
      fail_usage("--augment: {} needs images (got samples of {}, expected channels x rows x columns)", kind.name,
                 shape_text(sample_shape));
    if (kind.draw == shift && augmentation.amount >= static_cast<double>(std::min(sample_shape[1], sample_shape[2])))
      fail_usage("--augment: {}:{} can move the whole image away (the samples are {}); give a smaller number",
                 kind.name, augmentation.amount, shape_text(sample_shape));
    if (kind.draw == jitter && sample_shape[0] != 1 && sample_shape[0] != 3)
      fail_usage("--augment: {} needs grey or RGB images (got {} channels, expected 1 or 3)", kind.name,
                 sample_shape[0]);
  }
}

ImageChange draw_change(std::span<const Augmentation> augmentations, int64_t height, int64_t width, uint64_t seed,
                        int64_t epoch, int64_t index) {
  ImageChange change;
  change.placement = {AxisMap::identity(height), AxisMap::identity(width)};
  RandomKey key{seed, random_stream("augment")};
  for (const Augmentation& augmentation : augmentations) {
    if (augmentation.kind->draw != nullptr)
      augmentation.kind->draw(change, {augmentation.amount, height, width, key, index, epoch});
    ++key.stream;
  }
  return change;
}

double mixup_strength(std::span<const Augmentation> augmentations) {
  const auto mixup = std::ranges::find_if(
      augmentations, [](const Augmentation& augmentation) { return augmentation.kind->draw == nullptr; });
  return mixup == augmentations.end() ? 0 : mixup->amount;
}

double mixup_share(double strength, uint64_t seed, int64_t epoch, int64_t index) {
  // Devroye, "Random variate generation in one line of code", WSC 1996: a symmetric beta variate from a t variate. The
  // numbers lie inside (0, 1), and an overflow to infinity gives the share's limit, 0 or 1.
  constexpr double inside = 0x1p-33;
  const RandomBlock words =
      random_block({seed, random_stream("mixup")}, static_cast<uint64_t>(index), static_cast<uint32_t>(epoch));
  const double cosine = std::cos(2 * std::numbers::pi * (unit(words[1]) + inside));
  const double spread = (std::pow(unit(words[0]) + inside, -1 / strength) - 1) * cosine * cosine;
  return 0.5 + std::copysign(0.5 / std::sqrt(1 + 1 / spread), cosine);
}

void erasing_noise(uint64_t noise_seed, int64_t first, std::span<uint8_t> values) {
  constexpr int64_t bytes_of_block = 16;
  const RandomKey key{noise_seed, random_stream("erasing noise")};
  RandomBlock block{};
  for (size_t i = 0; i < values.size(); ++i) {
    const int64_t element = first + static_cast<int64_t>(i);
    const int64_t byte = element % bytes_of_block;
    if (i == 0 || byte == 0) block = random_block(key, static_cast<uint64_t>(element / bytes_of_block));
    values[i] = static_cast<uint8_t>(block[static_cast<size_t>(byte / 4)] >> (byte % 4 * 8));
  }
}

}  // namespace pare
