// The log of a training in its run folder: a JSON object a line (log.jsonl).
#pragma once

#include <string>

#include "src/core/json.hpp"

namespace pare {

class RunLog {
 public:
  // Continues the file at `path` after step `first_step`: rows of later steps, which a killed run left and this one
  // will write again, are dropped. 0 starts the file anew. Throws (exit 1) when it cannot be written.
  RunLog(std::string path, int64_t first_step);

  // Appends a row; it has a key "step".
  void add(const Json& row);

 private:
  std::string path_;
};

}  // namespace pare
