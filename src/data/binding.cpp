#include "src/data/binding.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "src/core/error.hpp"
#include "src/core/suggest.hpp"
#include "src/data/values.hpp"

namespace pare {
namespace {

std::string port_text(const Graph& graph, const Port& port) {
  const Value& value = graph.value(port.value);
  std::string text = fmt::format("{} {}", value.name, dtype_name(value.dtype));
  if (!port.ranked) return text;
  text += "[";
  for (size_t i = 0; i < port.dims.size(); ++i) {
    const Dim& dim = port.dims[i];
    text += i == 0 ? "" : ",";
    text += dim.size >= 0 ? fmt::format("{}", dim.size) : dim.symbol.empty() ? "?" : dim.symbol;
  }
  return text + "]";
}

std::string fields_text(const Dataset& dataset) {
  std::string text;
  for (const Field& field : dataset.fields())
    text += fmt::format("{}{} {} {}", text.empty() ? "" : ", ", field.name, dtype_name(field.dtype),
                        shape_text(field.shape));
  return text;
}

// Why a sample does not fit, or nothing. `first` is the input's dimension that the sample's first one stands for.
std::optional<std::string> misfit(const Port& port, const Shape& sample, size_t first) {
  if (sample.size() + first != port.dims.size())
    return fmt::format("got {} dimensions, expected {} without the batch", sample.size(), port.dims.size() - first);
  for (size_t i = 0; i < sample.size(); ++i) {
    const int64_t expected = port.dims[i + first].size;
    if (expected >= 0 && expected != sample[i])
      return fmt::format("in dimension {} got {}, expected {}", i + first, sample[i], expected);
  }
  return std::nullopt;
}

// Whether an image would fit with its channels at the other end.
bool fits_other_layout(const Port& port, const Shape& sample) {
  if (sample.size() != 3) return false;
  return !misfit(port, {sample[2], sample[0], sample[1]}, 1) || !misfit(port, {sample[1], sample[2], sample[0]}, 1);
}

// The arrays that are left for the inputs that are left.
class Matcher {
 public:
  Matcher(const Graph& graph, const std::vector<std::string>& names)
      : graph_(graph), names_(names), taken_(names.size()), chosen_(graph.inputs.size()) {}

  std::vector<std::optional<size_t>> match(const std::vector<NamedBinding>& named) {
    for (const NamedBinding& pair : named)
      for (size_t input = 0; input < chosen_.size(); ++input)
        if (name_of(input) == pair.input) choose(input, pair.key, true);
    for (size_t input = 0; input < chosen_.size(); ++input) choose(input, name_of(input), false);
    for (size_t input = 0; input < chosen_.size(); ++input) choose(input, fmt::format("input_{}", input), false);
    const auto input = std::find(chosen_.begin(), chosen_.end(), std::nullopt);
    const auto array = std::find(taken_.begin(), taken_.end(), false);
    if (std::count(chosen_.begin(), chosen_.end(), std::nullopt) == 1 &&
        std::count(taken_.begin(), taken_.end(), false) == 1)
      *input = static_cast<size_t>(array - taken_.begin());
    return chosen_;
  }

 private:
  const std::string& name_of(size_t input) const { return graph_.value(graph_.inputs[input].value).name; }

  // An array that is asked for may go to several inputs.
  void choose(size_t input, const std::string& name, bool asked) {
    for (size_t array = 0; array < names_.size() && !chosen_[input]; ++array) {
      if (names_[array] != name || (taken_[array] && !asked)) continue;
      chosen_[input] = array;
      taken_[array] = true;
    }
  }

  const Graph& graph_;
  const std::vector<std::string>& names_;
  std::vector<bool> taken_;                    // by array
  std::vector<std::optional<size_t>> chosen_;  // by input
};

class Binder {
 public:
  Binder(const Graph& graph, const Dataset& dataset, Layout layout)
      : graph_(graph), dataset_(dataset), layout_(layout) {}

  Binding bind(const std::vector<NamedBinding>& named) {
    std::vector<std::string> names;
    for (const Field& field : fields()) names.push_back(field.name);
    for (const NamedBinding& pair : named) check_names(pair, names);
    const std::vector<std::optional<size_t>> chosen = match_arrays(graph_, names, named);
    Binding binding;
    binding.inputs.clear();
    bool preprocessed = false;
    for (size_t input = 0; input < chosen.size(); ++input) {
      if (!chosen[input]) fail_unbound(input);
      BoundInput bound = fitted(input, *chosen[input], binding.batch);
      const Field& field = fields()[bound.field];
      const bool can_be = is_float(bound.dtype) && !field.shared && (!bound.whole || field.shape[0] == 1);
      bound.preprocessed = can_be && !preprocessed;
      preprocessed = preprocessed || bound.preprocessed;
      // What is not preprocessed is copied as it is; one channel is the same at both ends.
      const bool turned = bound.order.stored_last != bound.order.input_last;
      if (turned && !bound.preprocessed && field.shape[bound.order.stored_last ? 2 : 0] != 1)
        fail_misfit(input, field, "channels are at the other end");
      binding.inputs.push_back(bound);
    }
    return binding;
  }

 private:
  const std::vector<Field>& fields() const { return dataset_.fields(); }
  const std::string& input_name(size_t input) const { return graph_.value(graph_.inputs[input].value).name; }

  void check_names(const NamedBinding& pair, const std::vector<std::string>& names) const {
    std::vector<std::string> inputs;
    for (size_t input = 0; input < graph_.inputs.size(); ++input) inputs.push_back(input_name(input));
    if (std::find(inputs.begin(), inputs.end(), pair.input) == inputs.end())
      fail_usage("--input: the model has no input '{}'{}", pair.input, did_you_mean(pair.input, inputs));
    if (std::find(names.begin(), names.end(), pair.key) == names.end())
      fail_usage("--input: {} has no array '{}' (it has {}){}", dataset_.name(), pair.key, fields_text(dataset_),
                 did_you_mean(pair.key, names));
  }

  [[noreturn]] void fail_unbound(size_t input) const {
    fail_input("{}: no array for input {} (got {}); give --input {}=KEY", dataset_.name(),
               port_text(graph_, graph_.inputs[input]), fields_text(dataset_), input_name(input));
  }

  // Narrows `batch`, the batch size that the inputs so far allow.
  void require_batch(int64_t size, size_t input, int64_t& batch) const {
    if (batch != 0 && batch != size)
      fail_input("{}: input '{}' needs batches of {}, an earlier input of {}", dataset_.name(), input_name(input), size,
                 batch);
    batch = size;
  }

  BoundInput fitted(size_t input, size_t field, int64_t& batch) const {
    const Port& port = graph_.inputs[input];
    const Field& data = fields()[field];
    BoundInput bound{field, graph_.value(port.value).dtype, false, false};
    if (!is_numeric(bound.dtype)) fail_misfit(input, data, "cannot be fed from data");
    if (!port.ranked) return bound;
    if (data.shared) {
      if (const auto reason = misfit(port, data.shape, 0)) fail_misfit(input, data, *reason);
      const bool open = std::any_of(port.dims.begin(), port.dims.end(), [](const Dim& dim) { return dim.size < 0; });
      if (open) require_batch(1, input, batch);
      return bound;
    }
    bound.whole = data.shape.size() == port.dims.size() && !misfit(port, data.shape, 0);
    if (bound.whole) {
      require_batch(1, input, batch);
      return bound;
    }
    if (port.dims.empty()) fail_misfit(input, data, "got one value a sample, expected a scalar for all");
    bound.order = order_of(port, data);
    if (const auto reason = misfit(port, input_shape(data.shape, bound.order), 1)) {
      const bool other = layout_ == Layout::unknown && fits_other_layout(port, data.shape);
      fail_misfit(input, data, *reason + (other ? "; channels are at the other end: give --layout" : ""));
    }
    if (port.dims[0].size > 0) require_batch(port.dims[0].size, input, batch);
    return bound;
  }

  // Data that does not tell its layout has the model's, unless it fits only in the other.
  ChannelOrder order_of(const Port& port, const Field& data) const {
    if (data.shape.size() != 3 || (layout_ == Layout::unknown && data.layout == Layout::unknown)) return {};
    const Layout wanted = layout_ == Layout::unknown ? data.layout : layout_;
    ChannelOrder order{wanted == Layout::nhwc, wanted == Layout::nhwc};
    if (data.layout != Layout::unknown) order.stored_last = data.layout == Layout::nhwc;
    else if (misfit(port, data.shape, 1)) order.stored_last = !order.input_last;
    return order;
  }

  [[noreturn]] void fail_misfit(size_t input, const Field& data, const std::string& reason) const {
    fail_input("{}: samples of '{}', {} {}, do not fit input {} ({})", dataset_.name(), data.name,
               dtype_name(data.dtype), shape_text(data.shape), port_text(graph_, graph_.inputs[input]), reason);
  }

  const Graph& graph_;
  const Dataset& dataset_;
  Layout layout_;
};

}  // namespace

std::vector<std::optional<size_t>> match_arrays(const Graph& graph, const std::vector<std::string>& names,
                                                const std::vector<NamedBinding>& named) {
  return Matcher(graph, names).match(named);
}

bool is_whole_input(const Port& port, const Shape& shape) {
  return port.ranked && shape.size() == port.dims.size() && !misfit(port, shape, 0);
}

Binding bind_inputs(const Graph& graph, const Dataset& dataset, const std::vector<NamedBinding>& named, Layout layout) {
  return Binder(graph, dataset, layout).bind(named);
}

}  // namespace pare
