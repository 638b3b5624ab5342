// Runs ONNX conformance cases through the executor: conformance FOLDER [WRITTEN]. Each sub-folder of FOLDER is a case
// in the layout of the onnx project's backend tests: model.onnx, input_<i>.pb and output_<i>.pb (TensorProto),
// tolerances.txt
// ("rtol atol", a line an output; the last one holds for all that follow). Prints a line a case, "pass NAME", "fail
// NAME: why" or "skip NAME: why" (an operator that pare does not run, values that are no tensors). With a second
// argument, the graph as pare writes it goes to WRITTEN/<case>.onnx, and what is read from there must run the same.
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

// Shape inference must say what came out, or that it does not know. Lists of sizes count as constants.
std::string shape_difference(Graph graph, const std::vector<at::Tensor>& inputs,
                             const std::vector<at::Tensor>& expected) {
  for (size_t i = 0; i < inputs.size() && i < graph.inputs.size(); ++i) {
    Value& value = graph.value(graph.inputs[i].value);
    value.shape = inputs[i].sizes().vec();
    if (inputs[i].scalar_type() == at::kLong) value.constant = from_aten(inputs[i], DType::int64);
  }
  for (const Node& node : graph.nodes)
    for (const ValueId output : node.outputs)
      if (output != no_value) graph.value(output).shape.reset();
  infer_shapes(graph);
  for (size_t i = 0; i < expected.size() && i < graph.outputs.size(); ++i) {
    const auto& inferred = graph.value(graph.outputs[i].value).shape;
    if (!inferred) continue;
    for (size_t d = 0; d < inferred->size(); ++d)
      if (inferred->size() != static_cast<size_t>(expected[i].dim()) ||
          ((*inferred)[d] >= 0 && (*inferred)[d] != expected[i].size(static_cast<int64_t>(d))))
        return fmt::format("inferred shape {} differs from {}", shape_text(*inferred),
                           shape_text(expected[i].sizes().vec()));
  }
  return "";
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
  return values.empty() ? shape_difference(graph, inputs, expected) : values;
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
    std::cerr << "usage: conformance FOLDER [WRITTEN]\n";
    return 2;
  }
  return pare::run_all(argv[1], argc == 3 ? argv[2] : "");
}
