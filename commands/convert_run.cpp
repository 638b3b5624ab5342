#include <fmt/format.h>

#include "commands/convert.hpp"
#include "commands/model_summary.hpp"
#include "formats/model_io.hpp"
#include "src/core/error.hpp"
#include "src/core/table.hpp"

namespace pare {
namespace {

// The figures of a model whose operators pare knows; of any other only what the file itself tells: converting needs no
// more.
void report_model(const Model& model, const std::vector<WrittenFile>& files, Report& report) {
  try {
    const Graph graph = read_graph(model.onnx);
    report.model = model_json(model, graph);
    report.result = result_json(graph_cost(graph), files);
  } catch (const Error& error) {
    if (error.code() != ExitCode::bad_input) throw;
    report.model = {{"path", model.path}, {"sha256", model.sha256}, {"bytes", model.file_bytes}};
    report.result = result_json({}, files);
    for (const char* unknown : {"parameters", "nonzero", "sparsity", "macs"}) report.result.erase(unknown);
  }
}

bool same_bytes(const Bytes& a, const Bytes& b) { return a.text() == b.text(); }

// Opens the written file and compares it with what was to be written: tensor by tensor, so that the first that differs
// is named.
void check_written(const std::vector<NamedTensor>& expected, const WrittenFile& file) {
  const Model written = load_model(file.path);
  with_context(file.path, [&] {
    const std::vector<NamedTensor> actual = read_tensors(written.onnx);
    if (actual.size() != expected.size())
      fail_run("check: holds {} tensors (expected {})", actual.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      const auto& [name, tensor] = expected[i];
      const Tensor& other = actual[i].tensor;
      if (actual[i].name != name || other.dtype != tensor.dtype || other.shape != tensor.shape ||
          !same_bytes(other.data, tensor.data))
        fail_run("check: tensor '{}' differs from the input's", name);
    }
  });
}

}  // namespace

ExitCode run_convert(const ConvertOptions& options, RunContext& context) {
  const Model model = load_model(options.in);
  const std::vector<NamedTensor> tensors = with_context(options.in, [&] { return read_tensors(model.onnx); });
  std::vector<WrittenFile> files;
  if (options.out.empty()) {
    if (model.format == "onnx")
      fail_usage("--check: {}: an ONNX file stores no hashes to check; give an .h5 file, or OUT to compare with",
                 options.in);
    context.print(fmt::format("{}: {} tensors and the graph match their stored hashes\n", options.in, tensors.size()));
  } else {
    files.push_back(save_model(model, options.out, {options.entropy_code}));
    if (options.check) check_written(tensors, files.front());
    context.print(
        fmt::format("{}: {}, {} of {}{}\n", options.out, bytes_text(static_cast<int64_t>(files.front().bytes)),
                    percent_text(static_cast<double>(files.front().bytes) / static_cast<double>(model.file_bytes)),
                    options.in, options.check ? ", checked" : ""));
  }
  report_model(model, files, context.report);
  return ExitCode::ok;
}

}  // namespace pare
