// Local functions of a model (FunctionProto): operators that the file defines itself.
#pragma once

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "formats/onnx_model.hpp"

namespace pare {

using Attributes = std::map<std::string, Attribute, std::less<>>;

struct Function {
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  std::vector<std::string_view> nodes;  // NodeProto messages
  Attributes defaults;                  // of attributes that a call may leave out
  int64_t opset = 0;                    // of the default domain inside the function; 0 where it does not say
};

// By domain, name and overload.
using Functions = std::map<std::tuple<std::string, std::string, std::string>, Function>;

Functions read_functions(const OnnxModel& model, const std::string& folder);

}  // namespace pare
