#include "src/exec/parameters.hpp"

#include <ATen/ops/_to_copy.h>

#include "src/core/error.hpp"
#include "src/exec/tensors.hpp"

namespace pare {

Parameters::Parameters(const Graph& graph, at::Device device, Training training)
    : device_(device), tensors_(graph.values.size()) {
  const std::vector<Role> roles = roles_of(graph);
  for (size_t i = 0; i < graph.values.size(); ++i) {
    const Value& value = graph.values[i];
    if (!value.constant) continue;
    const bool leaf = training != Training::off && roles[i] != Role::none;
    at::Tensor tensor = with_context(fmt::format("tensor '{}'", value.name), [&] {
      return training == Training::on ? to_aten(*value.constant) : shared_aten(*value.constant);
    });
    if (leaf) tensor = tensor.to(at::kFloat);
    if (is_float(value.constant->dtype)) tensor = tensor.to(device);
    if (tensor.dim() == 4) tensor = tensor.contiguous(at::MemoryFormat::ChannelsLast);
    if (leaf) {
      tensor.set_requires_grad(roles[i] != Role::statistics);
      parameters_.push_back({static_cast<ValueId>(i), value.name, roles[i], value.constant->dtype, tensor});
    }
    tensors_[i] = std::move(tensor);
  }
}

void Parameters::add_leaf(const std::string& name, at::Tensor leaf) {
  leaf.set_requires_grad(true);
  parameters_.push_back({no_value, name, Role::offset, DType::float32, std::move(leaf)});
}

const at::Tensor& Parameters::writable(ValueId value) {
  at::Tensor& tensor = tensors_[static_cast<size_t>(value)];
  return tensor = tensor.clone();
}

std::vector<at::Tensor> Parameters::leaves() const {
  std::vector<at::Tensor> leaves;
  for (const Parameter& parameter : parameters_)
    if (parameter.role != Role::statistics) leaves.push_back(parameter.tensor);
  return leaves;
}

std::map<std::string, Tensor> Parameters::export_tensors() const {
  std::map<std::string, Tensor> tensors;
  for (const Parameter& parameter : parameters_)
    if (parameter.value != no_value) tensors.emplace(parameter.name, from_aten(parameter.tensor, parameter.file_dtype));
  return tensors;
}

}  // namespace pare
