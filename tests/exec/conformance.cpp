// Runs ONNX conformance cases through the executor: conformance FOLDER [WRITTEN]. Each sub-folder of FOLDER is a case
// in the layout of the onnx project's backend tests: model.onnx, input_<i>.pb and output_<i>.pb (TensorProto),
// tolerances.txt
// ("rtol atol", a line an output; the last one holds for all that follow). Prints a line a case, "pass NAME", "fail
// NAME: why" or "skip NAME: why" (an operator that pare does not run, values that are no tensors). With a second
// argument, the graph as pare writes it goes to WRITTEN/<case>.onnx, and what is read from there must run the same.
// `conformance --types MODEL` prints the inferred element type of every value, as TensorProto.DataType numbers it.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>

#include <ATen/ops/allclose.h>

#include "formats/onnx_tensor.hpp"
#include "formats/onnx_writer.hpp"
#include "formats/protobuf.hpp"
#include "src/core/error.hpp"
#include "src/exec/executor.hpp"
#include "src/exec/fold_constants.hpp"
#include "src/exec/tensors.hpp"
#include "src/graph/op_table.hpp"
#include "src/graph/subgraph.hpp"

namespace pare {
namespace {

namespace fs = std::filesystem;

std::vector<at::Tensor> read_values(const fs::path& folder, const std::string& prefix) {
  std::vector<at::Tensor> values;
  for (int i = 0;; ++i) {
    const fs::path path = folder / fmt::format("{}_{}.pb", prefix, i);
    if (!fs::exists(path)) return values;
    const Bytes bytes = map_file(path.string());
    values.push_back(to_aten(read_tensor(bytes, bytes.text(), "").tensor));
  }
}

struct Tolerance {
  double relative = 0;
  double absolute = 0;
};

std::vector<Tolerance> read_tolerances(const fs::path& folder) {
  std::vector<Tolerance> tolerances;
  std::ifstream file((folder / "tolerances.txt").string());
  for (Tolerance line; file >> line.relative >> line.absolute;) tolerances.push_back(line);
  if (tolerances.empty()) fail_input("{}: no tolerances", folder.string());
  return tolerances;
}

// Empty when the case passes.
std::string difference(const std::vector<at::Tensor>& got, const std::vector<at::Tensor>& expected,
                       const std::vector<Tolerance>& tolerances) {
  if (got.size() != expected.size()) return fmt::format("{} outputs, expected {}", got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    if (got[i].scalar_type() != expected[i].scalar_type())
      return fmt::format("output {} is {}, expected {}", i, c10::toString(got[i].scalar_type()),
                         c10::toString(expected[i].scalar_type()));
    if (got[i].sizes() != expected[i].sizes()) return fmt::format("output {} differs in shape", i);
    const Tolerance& allowed = tolerances[std::min(i, tolerances.size() - 1)];
    if (!at::allclose(got[i].to(at::kDouble), expected[i].to(at::kDouble), allowed.relative, allowed.absolute, true))
      return fmt::format("output {} differs", i);
  }
  return "";
}

bool supported(const Graph& graph) {
  bool all = true;
  for_each_graph(graph, [&](const Graph& part) {
    for (const Node& node : part.nodes) all &= find_op(node.domain, node.op) != nullptr;
  });
  return all;
}

// The graph with the inputs' sizes, and nothing but inference to say what its nodes give. Lists of sizes count as
// constants.
Graph inferred(Graph graph, const std::vector<at::Tensor>& inputs) {
  for (size_t i = 0; i < inputs.size() && i < graph.inputs.size(); ++i) {
    Value& value = graph.value(graph.inputs[i].value);
    value.shape = inputs[i].sizes().vec();
    if (inputs[i].scalar_type() == at::kLong) value.constant = from_aten(inputs[i], DType::int64);
  }
  for (const Node& node : graph.nodes)
    for (const ValueId output : node.outputs) {
      if (output == no_value) continue;
      graph.value(output).shape.reset();
      graph.value(output).dtype = DType::undefined;
    }
  infer_shapes(graph);
  return graph;
}

// Empty when a value that came out has the inferred element type, and the inferred shape or one that was not known.
std::string inference_error(const Value& value, const at::Tensor& tensor) {
  if (value.dtype == DType::undefined) return fmt::format("the element type of '{}' is not inferred", value.name);
  if (scalar_type_of(value.dtype) != tensor.scalar_type())
    return fmt::format("inferred type {} of '{}' differs from {}", dtype_name(value.dtype), value.name,
                       c10::toString(tensor.scalar_type()));
  if (!value.shape) return "";
  bool equal = value.shape->size() == static_cast<size_t>(tensor.dim());
  for (size_t d = 0; equal && d < value.shape->size(); ++d)
    equal = (*value.shape)[d] < 0 || (*value.shape)[d] == tensor.size(static_cast<int64_t>(d));
  return equal ? ""
               : fmt::format("inferred shape {} of '{}' differs from {}", shape_text(*value.shape), value.name,
                             shape_text(tensor.sizes().vec()));
}

// Compares what inference says of every value with what a run gives.
std::string inference_difference(const Graph& graph, const std::vector<at::Tensor>& inputs) {
  const Graph shaped = inferred(graph, inputs);
  std::string error;
  const Observation observation{
      std::vector<bool>(graph.values.size(), true), [&](ValueId id, const at::Tensor& tensor) {
        if (error.empty() && tensor.defined() && static_cast<size_t>(id) < shaped.values.size())
          error = inference_error(shaped.value(id), tensor);
      }};
  Executor(graph).run(Parameters(graph, at::kCPU, Training::off), inputs, false, &observation);
  return error;
}

// The graph after a round through the writer; `path` keeps it.
Graph written_again(const Graph& graph, const OnnxModel& origin, const fs::path& path) {
  AtomicFile file(path.string());
  write_graph(graph, origin).write_to(file);
  file.commit();
  return read_graph(open_onnx(map_file(path.string()), path.string()));
}

std::string run_case(const fs::path& folder, const fs::path& written) {
  const OnnxModel model = open_onnx(map_file((folder / "model.onnx").string()), (folder / "model.onnx").string());
  const Graph graph = read_graph(model);
  if (!supported(graph)) return "skip";
  const auto inputs = read_values(folder, "input");
  const c10::AutoGradMode no_grad(false);
  const auto expected = read_values(folder, "output");
  const auto run = [&](const Graph& form) {
    const Parameters parameters(form, at::kCPU, Training::off);
    return difference(Executor(form).run(parameters, inputs, false), expected, read_tolerances(folder));
  };
  std::string values = run(graph);
  if (Graph folded = graph; values.empty() && fold_constants(folded) > 0) {
    values = run(folded);
    if (!values.empty()) return "constants folded: " + values;
  }
  if (values.empty() && !written.empty()) {
    values = run(written_again(graph, model, written / (folder.filename().string() + ".onnx")));
    if (!values.empty()) return "written and read again: " + values;
  }
  return values.empty() ? inference_difference(graph, inputs) : values;
}

// A line for each value that a node of the model's graph gives: name, element type.
int print_types(const fs::path& path) {
  Graph graph = read_graph(open_onnx(map_file(path.string()), path.string()));
  for (const Node& node : graph.nodes)
    for (const ValueId output : node.outputs)
      if (output != no_value) graph.value(output).dtype = DType::undefined;
  infer_shapes(graph);
  for (const Node& node : graph.nodes)
    for (const ValueId output : node.outputs)
      if (output != no_value && !graph.value(output).name.empty())
        std::cout << graph.value(output).name << " " << static_cast<int>(graph.value(output).dtype) << "\n";
  return 0;
}

int run_all(const fs::path& root, const fs::path& written) {
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(root))
    if (entry.is_directory()) folders.push_back(entry.path());
  std::sort(folders.begin(), folders.end());
  for (const fs::path& folder : folders) {
    const std::string name = folder.filename().string();
    try {
      const std::string result = run_case(folder, written);
      if (result == "skip") std::cout << "skip " << name << ": operator\n";
      else if (result.empty()) std::cout << "pass " << name << "\n";
      else std::cout << "fail " << name << ": " << result << "\n";
    } catch (const std::exception& error) {
      std::cout << "fail " << name << ": " << error.what() << "\n";
    }
  }
  return 0;
}

}  // namespace
}  // namespace pare

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) {
    std::cerr << "usage: conformance FOLDER [WRITTEN] | conformance --types MODEL\n";
    return 2;
  }
  if (std::string(argv[1]) == "--types" && argc == 3) return pare::print_types(argv[2]);
  return pare::run_all(argv[1], argc == 3 ? argv[2] : "");
}
