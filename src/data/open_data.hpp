// From a path to a data set: the table of layouts that pare can read.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "src/data/dataset.hpp"

namespace pare {

struct DataKind {
  std::string_view name;    // as in --data-kind
  std::string_view layout;  // what it looks like, for messages and help
  bool (*recognise)(const std::string& path);
  DatasetPtr (*open)(const std::string& path, std::string_view split);
};

// Every kind, in the order in which "auto" tries them.
std::span<const DataKind> data_kinds();

// Opens `split` of the data at `path` as `kind`: a name of the table, or "auto". Throws: exit 2 for an unknown kind, a
// missing path or split; exit 3 naming the layouts looked for when none fits, and for malformed or empty data.
DatasetPtr open_data(const std::string& path, std::string_view kind, std::string_view split);

}  // namespace pare
