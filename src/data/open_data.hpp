// From a path to a data set: the table of layouts that pare can read.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/data/binding.hpp"
#include "src/data/dataset.hpp"
#include "src/data/image_frame.hpp"
#include "src/data/kinds.hpp"
#include "src/graph/input_shapes.hpp"

namespace pare {

// What is wanted of the data.
struct DataRequest {
  std::string kind = "auto";  // a name of the table, or "auto"
  std::string split = {};     // "train" or "test"; data without parts is taken whole
  bool only_split = false;    // true: data without parts has no such split
  std::string labels = {};    // the array of the labels; empty: the data's own

  // Of the model that is to take the samples. Image folders become what its input takes.
  const Graph* graph = nullptr;          // null: not known
  std::vector<NamedBinding> named = {};  // --input
  InputShapes shapes = {};               // --shape: sizes that the model leaves open
  Layout layout = Layout::unknown;       // --layout

  // Of image folders only; zeros: not given.
  ImageSize resize = {};  // a width of 0: the shorter side's length
  ImageSize crop = {};
  int64_t limit = 0;                                  // how many of the images will be read, whichever; 0: all
  std::function<void(const std::string&)> warn = {};  // takes what the user should know; may be empty
};

// Opens the data at `path`. Throws: exit 2 for an unknown kind, a missing path, split or array, --resize, --crop
// or --shape for other data than images; exit 3 naming the
// layouts looked for when none fits, and for malformed or empty data.
DatasetPtr open_data(const std::string& path, const DataRequest& request);

}  // namespace pare
