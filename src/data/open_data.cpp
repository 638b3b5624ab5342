#include "src/data/open_data.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <vector>

#include <fmt/ranges.h>

#include "src/core/error.hpp"
#include "src/core/suggest.hpp"
#include "src/data/idx_folder.hpp"

namespace pare {
namespace {

constexpr std::array<DataKind, 1> kinds{{{"idx", idx_folder_layout, is_idx_folder, open_idx_folder}}};

void check_kind(std::string_view name) {
  std::vector<std::string> names{"auto"};
  for (const DataKind& kind : kinds) names.emplace_back(kind.name);
  if (std::find(names.begin(), names.end(), name) == names.end())
    fail_usage("--data-kind: unknown kind (got '{}', expected one of: {}){}", name, fmt::join(names, ", "),
               did_you_mean(name, names));
}

}  // namespace

std::span<const DataKind> data_kinds() { return kinds; }

DatasetPtr open_data(const std::string& path, std::string_view kind, std::string_view split) {
  check_kind(kind);
  if (!std::filesystem::exists(path)) fail_usage("{}: no such file or folder; check the path", path);
  std::string looked_for;
  for (const DataKind& row : kinds) {
    if (kind != "auto" && row.name != kind) continue;
    if (row.recognise(path)) return row.open(path, split);
    looked_for += fmt::format("{}{}: {}", looked_for.empty() ? "" : "; ", row.name, row.layout);
  }
  fail_input("{}: no data found (looked for {})", path, looked_for);
}

}  // namespace pare
