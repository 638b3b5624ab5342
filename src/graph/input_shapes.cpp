#include "src/graph/input_shapes.hpp"

#include <algorithm>
#include <charconv>

#include "src/core/error.hpp"
#include "src/core/suggest.hpp"

namespace pare {
namespace {

const Port& input_named(const Graph& graph, const std::string& name) {
  const auto found = std::find_if(graph.inputs.begin(), graph.inputs.end(),
                                  [&](const Port& port) { return graph.value(port.value).name == name; });
  if (found != graph.inputs.end()) return *found;
  std::vector<std::string> names;
  for (const Port& port : graph.inputs) names.push_back(graph.value(port.value).name);
  fail_usage("--shape: the model has no input '{}'{}", name,
             did_you_mean(name, names, fmt::format(" (expected one of {})", fmt::join(names, ", "))));
}

// "in=1x3x224x224".
std::pair<std::string, Shape> parse_input_shape(const std::string& text) {
  const size_t equals = text.rfind('=');
  const auto refuse = [&] { fail_usage("--shape: '{}' is not NAME=1x3x224x224", text); };
  if (equals == std::string::npos || equals == 0) refuse();
  Shape shape;
  const char* next = text.data() + equals + 1;
  const char* end = text.data() + text.size();
  while (next != end) {
    int64_t size = -1;
    const auto [rest, error] = std::from_chars(next, end, size);
    if (error != std::errc() || size < 1 || (rest != end && (*rest != 'x' || rest + 1 == end))) refuse();
    shape.push_back(size);
    next = rest == end ? end : rest + 1;
  }
  return {text.substr(0, equals), std::move(shape)};
}

}  // namespace

InputShapes parse_input_shapes(const std::vector<std::string>& texts) {
  InputShapes shapes;
  for (const std::string& text : texts)
    if (const auto [name, shape] = parse_input_shape(text); !shapes.emplace(name, shape).second)
      fail_usage("--shape: input '{}' is given twice", name);
  return shapes;
}

void check_input_shapes(const Graph& graph, const InputShapes& shapes) {
  for (const auto& [name, shape] : shapes) {
    const Port& port = input_named(graph, name);
    bool fits = !port.ranked || port.dims.size() == shape.size();
    for (size_t i = 0; i < port.dims.size() && fits; ++i) fits = port.dims[i].size < 0 || port.dims[i].size == shape[i];
    if (!fits) {
      std::vector<std::string> declared;
      for (const Dim& dim : port.dims)
        declared.push_back(dim.size >= 0 ? std::to_string(dim.size) : dim.symbol.empty() ? "?" : dim.symbol);
      fail_input("input '{}': the shape does not fit the model's (got {}, expected {})", name, shape_text(shape),
                 fmt::join(declared, "x"));
    }
  }
}

void set_input_shapes(Graph& graph, const InputShapes& shapes) {
  if (shapes.empty()) return;
  check_input_shapes(graph, shapes);
  for (Port& port : graph.inputs) {
    const auto given = shapes.find(graph.value(port.value).name);
    if (given == shapes.end()) continue;
    const Shape& shape = given->second;
    port.ranked = true;
    port.dims.assign(shape.size(), {});
    for (size_t i = 0; i < shape.size(); ++i) port.dims[i].size = shape[i];
    graph.value(port.value).shape = shape;
  }
  for (const Node& node : graph.nodes)
    for (const ValueId output : node.outputs)
      if (output != no_value) graph.value(output).shape.reset();
}

}  // namespace pare
