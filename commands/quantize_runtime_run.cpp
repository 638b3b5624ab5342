#include "commands/quantize_runtime_run.hpp"

#include <cstdlib>
#include <filesystem>

#include "commands/latency_run.hpp"
#include "compress/integer_kernels.hpp"
#include "src/core/error.hpp"

namespace pare {
namespace {

namespace fs = std::filesystem;

// The library's reason not to take what `open` opens; none where it loads.
std::optional<std::string> refusal(const std::function<OrtSession()>& open) {
  try {
    open();
    return std::nullopt;
  } catch (const Error& error) {
    return error.what();
  }
}

Json json_of(const KernelCount& count) { return {{"integer", count.integer}, {"all", count.all}}; }

Json json_of(const std::string& source, const IntegerKernels& kernels) {
  return {{"source", source}, {"convolutions", json_of(kernels.convolutions)}, {"products", json_of(kernels.products)}};
}

// What the runtime makes of the file, by the graph that it writes when it is asked to: into a folder of its own, since
// any name beside the output may be the user's. False where it does not take the file.
bool count_kernels(const OrtLibrary& library, const std::string& path, RunContext& context) {
  std::error_code ignored;
  std::string folder = (fs::temp_directory_path(ignored) / "pare-optimized-XXXXXX").string();  // mkdtemp's template
  if (::mkdtemp(folder.data()) == nullptr)
    return !refusal([&] { return OrtSession::from_file(library, path, OrtConfig{1, true}); });
  const std::string optimized = folder + "/model.onnx";
  OrtConfig config{1, true};
  config.optimized_path = optimized;
  const bool taken = !refusal([&] { return OrtSession::from_file(library, path, config); });
  try {
    if (taken)
      context.report.result["integer_kernels"] =
          json_of("ONNX Runtime " + library.version(), integer_kernels(read_graph(load_model(optimized).onnx)));
  } catch (const Error&) {
    // Not every optimized graph can be read again: what was planned stays in the report.
  }
  fs::remove_all(folder, ignored);
  return taken;
}

std::vector<std::string> onnx_files(const ModelOutputOptions& output) {
  std::vector<std::string> files;
  for (const std::string& path : output.out)
    if (path.ends_with(".onnx")) files.push_back(path);
  return files;
}

}  // namespace

void require_runtime_takes(const RuntimeCheck& check, const OnnxModel& quantized, RunContext& context) {
  constexpr size_t largest_message = (size_t{1} << 31) - 1;  // of protobuf; larger models load from their files only
  if (check.original.model.format != "onnx" || quantized.bytes.size() > largest_message) return;
  if (onnx_files(check.options.output).empty()) return;
  const Runtimes runtimes = find_runtimes("auto");
  if (!runtimes.ort) return;
  const OrtConfig config{static_cast<int>(check.options.compute.threads), true};
  const auto reason = refusal([&] { return OrtSession(*runtimes.ort, quantized.bytes.text(), config); });
  const auto original = [&] { return OrtSession::from_file(*runtimes.ort, check.original.model.path, config); };
  if (!reason || refusal(original)) return;
  if (check.options.profile != "tensorrt")
    fail_run("the quantized model does not load in ONNX Runtime ({}); nothing was written; please report it", *reason);
  context.warn(fmt::format("the quantized model does not load in ONNX Runtime ({}); it is for TensorRT", *reason));
}

bool measures_speedup(const RuntimeCheck& check) {
  return check.device.is_cpu() && check.options.profile != "tensorrt" && !onnx_files(check.options.output).empty() &&
         find_runtimes("auto").ort;
}

void measure_in_runtime(const RuntimeCheck& check, std::span<const at::Tensor> inputs, RunContext& context) {
  const std::vector<std::string> files = onnx_files(check.options.output);
  if (files.empty()) return;
  const Runtimes runtimes = find_runtimes("auto");
  if (!runtimes.ort) return;
  if (!count_kernels(*runtimes.ort, files.front(), context)) return;
  if (!measures_speedup(check)) return;
  const LatencyMeter meter(check.original, {inputs.begin(), inputs.end()}, check.options.compute.threads, check.device);
  const double share = meter.share(load_executable(files.front()));
  context.report.metrics["speedup"] = 1 / share;
  constexpr double noise = 1.05;  // of the two medians
  if (share > noise)
    context.warn(
        fmt::format("{} takes {:.2f} times as long as the input in {}; leave out what gains nothing with "
                    "--exclude, or quantize the weights alone",
                    files.front(), share, meter.runtime()));
}

Json planned_kernels(const Graph& graph, const QuantPlacement& placement) {
  return json_of("placement", integer_kernels(graph, placement));
}

std::string integer_kernels_text(const Json& kernels) {
  std::string text;
  for (const auto& [key, name] :
       {std::pair{"convolutions", "convolutions"}, std::pair{"products", "matrix products"}}) {
    const Json& count = kernels.at(key);
    if (count.at("all").get<int64_t>() == 0) continue;
    text += fmt::format("{}{} of {} {}", text.empty() ? "" : ", ", count.at("integer").get<int64_t>(),
                        count.at("all").get<int64_t>(), name);
  }
  return text.empty() ? "none" : text;
}

}  // namespace pare
