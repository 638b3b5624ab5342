// Sizes that the caller gives to inputs whose dimensions the file leaves open.
#pragma once

#include <map>
#include <string>

#include "src/graph/graph.hpp"

namespace pare {

using InputShapes = std::map<std::string, Shape>;

// "in=1x3x224x224" as name and sizes. Throws (exit 2) when a text has another form, or two have one name.
InputShapes parse_input_shapes(const std::vector<std::string>& texts);

// Throws exit 2 when a name is no input of the graph, exit 3 when a shape contradicts the file's.
void check_input_shapes(const Graph& graph, const InputShapes& shapes);

// Sets the inputs' shapes, and forgets what the file declares of computed values' shapes. Throws as
// check_input_shapes() does.
void set_input_shapes(Graph& graph, const InputShapes& shapes);

}  // namespace pare
