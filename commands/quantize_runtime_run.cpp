#include "commands/quantize_runtime_run.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "commands/latency_run.hpp"
#include "compress/integer_kernels.hpp"
#include "src/core/error.hpp"

namespace pare {
namespace {

namespace fs = std::filesystem;

Json json_of(const KernelCount& count) { return {{"integer", count.integer}, {"all", count.all}}; }

Json json_of(const std::string& source, const IntegerKernels& kernels) {
  return {{"source", source}, {"convolutions", json_of(kernels.convolutions)}, {"products", json_of(kernels.products)}};
}

// A folder of its own for what the runtime writes, since any name beside the output may be the user's; removed at the
// end of its scope. Empty where there is no place for one.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    const fs::path parent = fs::temp_directory_path(ignored_);
    if (parent.empty()) return;
    path_ = parent / "pare-optimized-XXXXXX";  // mkdtemp's template
    if (::mkdtemp(path_.data()) == nullptr) path_.clear();
  }
  ~TemporaryFolder() {
    if (!path_.empty()) fs::remove_all(path_, ignored_);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::error_code ignored_;
  std::string path_;
};

}  // namespace

RuntimeCheck::RuntimeCheck(const QuantizeOptions& options, const LoadedModel& original, at::Device device,
                           RunContext& context)
    : options_(options),
      original_(original),
      device_(device),
      context_(context),
      config_{static_cast<int>(options.compute.threads), true} {
  const auto is_onnx = [](const std::string& path) { return path.ends_with(".onnx"); };
  const std::vector<std::string>& files = options.output.out;
  if (std::any_of(files.begin(), files.end(), is_onnx)) runtimes_ = find_runtimes("auto");
}

bool RuntimeCheck::measures_speedup() const {
  return device_.is_cpu() && options_.profile != "tensorrt" && runtimes_.ort;
}

// The library's reason not to take the model; none where it loads. Counts what the graph that it makes of it, which it
// writes when it is asked to, computes in integers.
std::optional<std::string> RuntimeCheck::refusal(const OnnxModel& quantized) {
  const auto open = [&](const OrtConfig& config) {
    quantized_ = make_ort_runner(OrtSession(*runtimes_.ort, quantized.bytes.text(), config), original_.graph);
  };
  try {
    const TemporaryFolder folder;
    OrtConfig writing = config_;
    writing.optimized_path = folder.path() + "/model.onnx";
    if (!folder.path().empty()) {
      open(writing);
      kernels_ = json_of("ONNX Runtime " + runtimes_.ort->version(),
                         pare::integer_kernels(read_graph(load_model(writing.optimized_path).onnx)));
    }
  } catch (const Error&) {
    // There may be no room for the optimized graph, and not every one can be read again: what was planned stays in the
    // report.
  }
  if (quantized_ != nullptr) return std::nullopt;
  try {
    open(config_);
    return std::nullopt;
  } catch (const Error& error) {
    return error.what();
  }
}

void RuntimeCheck::require_takes(const OnnxModel& quantized) {
  constexpr size_t largest_message = (size_t{1} << 31) - 1;  // of protobuf; larger models load from their files only
  if (!runtimes_.ort || quantized.bytes.size() > largest_message) return;
  const auto reason = refusal(quantized);
  if (!reason) return;
  try {
    make_ort_runner(*runtimes_.ort, original_, config_);
  } catch (const Error&) {
    return;
  }
  if (options_.profile != "tensorrt")
    fail_run("the quantized model does not load in ONNX Runtime ({}); nothing was written; please report it", *reason);
  context_.warn(fmt::format("the quantized model does not load in ONNX Runtime ({}); it is for TensorRT", *reason));
}

void RuntimeCheck::measure(std::span<const at::Tensor> inputs) {
  const std::unique_ptr<Runner> quantized = std::move(quantized_);
  if (quantized == nullptr || !measures_speedup()) return;
  const LatencyMeter meter(original_, {inputs.begin(), inputs.end()}, options_.compute.threads, device_);
  const double share = meter.share(*quantized);
  context_.report.metrics["speedup"] = 1 / share;
  constexpr double noise = 1.05;  // of the two medians
  if (share > noise)
    context_.warn(
        fmt::format("the result takes {:.2f} times as long as the input in {}; leave out what gains nothing with "
                    "--exclude, or quantize the weights alone",
                    share, meter.runtime()));
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
