#include "compress/allocation.hpp"

#include <numeric>

namespace pare {

std::vector<double> erk_densities(const std::vector<Shape>& shapes, double density,
                                  const std::vector<int64_t>& counts) {
  std::vector<double> raw, elements;
  double total = 0;
  for (size_t i = 0; i < shapes.size(); ++i) {
    const Shape& shape = shapes[i];
    const auto size = static_cast<double>(element_count(shape));
    raw.push_back(static_cast<double>(std::accumulate(shape.begin(), shape.end(), int64_t{0})) / size);
    elements.push_back(counts.empty() ? size : static_cast<double>(counts[i]));
    total += elements.back();
  }
  std::vector<bool> full(shapes.size(), false);
  for (;;) {
    double wanted = density * total;
    double weighted = 0;
    for (size_t i = 0; i < shapes.size(); ++i) {
      if (full[i]) wanted -= elements[i];
      else weighted += raw[i] * elements[i];
    }
    const double scale = weighted > 0 ? wanted / weighted : 0;
    bool changed = false;
    for (size_t i = 0; i < shapes.size(); ++i)
      if (!full[i] && scale * raw[i] > 1) changed = full[i] = true;
    if (changed) continue;
    std::vector<double> densities;
    for (size_t i = 0; i < shapes.size(); ++i) densities.push_back(full[i] ? 1 : scale * raw[i]);
    return densities;
  }
}

}  // namespace pare
