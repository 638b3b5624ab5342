// JSON documents that keep the order in which keys were added.
#pragma once

#include <nlohmann/json.hpp>

namespace pare {

using Json = nlohmann::ordered_json;

}  // namespace pare
