// The constants of a graph as tensors on a device: leaves that train, statistics that the forward pass updates, the
// rest.
#pragma once

#include "src/exec/aten.hpp"
#include "src/graph/graph.hpp"
#include "src/graph/roles.hpp"

namespace pare {

struct Parameter {
  ValueId value = no_value;  // none for leaves that are not of the graph
  std::string name;
  Role role = Role::none;
  DType file_dtype = DType::undefined;  // what the file holds; training is in fp32
  at::Tensor tensor;                    // the leaf; shares storage with what the executor reads
};

// What becomes of weights, offsets and statistics: constants, leaves for their gradients alone, leaves that change.
enum class Training { off, gradients, on };

class Parameters {
 public:
  // Brings every constant of the graph to the device. Leaves are fp32, 4-D ones channels_last, weights and offsets
  // require gradients; integer constants stay on the CPU. But for Training::on, tensors may share the graph's memory
  // and are only read.
  Parameters(const Graph& graph, at::Device device, Training training);

  // Adds a leaf that trains along but is no constant of the graph, such as an adapter: it is neither decayed nor
  // written.
  void add_leaf(const std::string& name, at::Tensor leaf);

  // Weights, offsets and statistics in the graph's order of values, then added leaves; empty with Training::off.
  const std::vector<Parameter>& all() const { return parameters_; }
  // What the executor reads for a value; undefined for computed values.
  const at::Tensor& tensor(ValueId value) const { return tensors_[static_cast<size_t>(value)]; }
  // The same as a copy of its own, for values that are written although they do not train.
  const at::Tensor& writable(ValueId value);
  size_t size() const { return tensors_.size(); }
  at::Device device() const { return device_; }

  // The leaves that receive gradients, in order.
  std::vector<at::Tensor> leaves() const;
  // Present values by name in the file's types, for writing.
  std::map<std::string, Tensor> export_tensors() const;

 private:
  at::Device device_;
  std::vector<at::Tensor> tensors_;  // by ValueId
  std::vector<Parameter> parameters_;
};

}  // namespace pare
