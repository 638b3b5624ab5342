#include "src/data/open_data.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <vector>

#include <fmt/ranges.h>

#include "src/core/error.hpp"
#include "src/core/suggest.hpp"
#include "src/data/hdf5_samples.hpp"
#include "src/data/idx_folder.hpp"
#include "src/data/image_folder.hpp"
#include "src/data/npy.hpp"
#include "src/data/npz.hpp"
#include "src/data/test_sets.hpp"

namespace pare {
namespace {

struct DataKind {
  DataKindName name;
  bool (*recognise)(const std::string& path);
  DatasetPtr (*open)(const std::string& path, const DataRequest& request);
};

// In the order in which "auto" tries them.
constexpr std::array<DataKind, data_kind_names.size()> kinds{{
    {data_kind_names[0], is_idx_folder, open_idx_folder},
    {data_kind_names[1], is_npz, open_npz},
    {data_kind_names[2], is_npy, open_npy},
    {data_kind_names[3], is_hdf5_samples, open_hdf5_samples},
    {data_kind_names[4], is_test_sets, open_test_sets},
    {data_kind_names[5], is_image_folder, open_image_folder},
}};

void check_kind(std::string_view name) {
  std::vector<std::string> names{"auto"};
  for (const DataKind& kind : kinds) names.emplace_back(kind.name.name);
  if (std::find(names.begin(), names.end(), name) == names.end())
    fail_usage("--data-kind: unknown kind (got '{}', expected one of: {}){}", name, fmt::join(names, ", "),
               did_you_mean(name, names));
}

// The samples of other kinds have the size that they have.
void refuse_image_options(const DataRequest& request, std::string_view kind) {
  if (request.resize.height > 0 || request.crop.height > 0 || !request.shapes.empty())
    fail_usage("--{}: only images in files are resized (got {} data); leave it out",
               request.resize.height > 0 ? "resize"
               : request.crop.height > 0 ? "crop"
                                         : "shape",
               kind);
}

}  // namespace

DatasetPtr open_data(const std::string& path, const DataRequest& request) {
  check_kind(request.kind);
  if (!std::filesystem::exists(path)) fail_usage("{}: no such file or folder; check the path", path);
  std::string looked_for;
  for (const DataKind& row : kinds) {
    if (request.kind != "auto" && row.name.name != request.kind) continue;
    if (row.recognise(path)) {
      if (row.open != open_image_folder) refuse_image_options(request, row.name.name);
      return row.open(path, request);
    }
    looked_for += fmt::format("{}{}: {}", looked_for.empty() ? "" : "; ", row.name.name, row.name.layout);
  }
  fail_input("{}: no data found (looked for {})", path, looked_for);
}

}  // namespace pare
