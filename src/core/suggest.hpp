// "Did you mean": the nearest of the names that exist.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pare {

// Insertions, deletions, replacements and swaps of neighbours that turn one into the other (optimal string alignment).
size_t edit_distance(std::string_view a, std::string_view b);

// The nearest candidate, if it is near enough to be a typo (a third of the length, at least one edit) or `name` is the
// beginning of exactly one. Ties go to the first.
std::optional<std::string> nearest(std::string_view name, const std::vector<std::string>& candidates);

// "; did you mean 'prune'?", or `otherwise` when nothing is near.
std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates,
                         std::string_view otherwise = "");

}  // namespace pare
