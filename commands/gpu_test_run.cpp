#include <array>

#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include "commands/doctor.hpp"
#include "kernels/compare_twins.hpp"
#include "src/core/table.hpp"

namespace pare {
namespace {

// LibTorch's allocator, and its copies: they wait for the kernels of the same stream.
class TorchMemory : public kernels::DeviceMemory {
 public:
  void* allocate(size_t bytes) override {
    const at::Tensor tensor = at::empty({static_cast<int64_t>(bytes)}, at::device(at::kCUDA).dtype(at::kByte));
    void* data = tensor.mutable_data_ptr();
    tensors_[data] = tensor;
    return data;
  }
  void release(void* data) override { tensors_.erase(data); }
  void copy_in(void* to, const void* from_host, size_t bytes) override {
    view(to, bytes, at::kCUDA).copy_(view(const_cast<void*>(from_host), bytes, at::kCPU));
  }
  void copy_out(void* to_host, const void* from, size_t bytes) override {
    view(to_host, bytes, at::kCPU).copy_(view(const_cast<void*>(from), bytes, at::kCUDA));
  }

 private:
  static at::Tensor view(void* data, size_t bytes, at::DeviceType device) {
    return at::from_blob(data, {static_cast<int64_t>(bytes)}, at::device(device).dtype(at::kByte));
  }
  std::map<void*, at::Tensor> tensors_;
};

}  // namespace

ExitCode run_gpu_test(const DoctorOptions&, RunContext& context) {
  if (!at::detail::getCUDAHooks().hasCUDA())
    fail_usage("--gpu-test: no CUDA device is present; it needs a build with CUDA on a machine with an NVIDIA GPU");
  context.report.device = {{"type", "cuda"}};
  TorchMemory memory;
  constexpr std::array<int64_t, 5> sizes = {1, 33, 1023, 4097, 1'000'003};
  const auto rows = kernels::compare_twins({true, nullptr}, memory, sizes);

  std::string text;
  bool all_equal = true;
  for (const auto& row : rows) {
    const bool equal = row.first_difference.empty();
    const std::string detail = equal ? bytes_text(row.compared) + " of results equal" : row.first_difference;
    text += fmt::format("{:<18}{:<9}{}\n", row.kernel, equal ? "ok" : "WRONG", detail);
    context.report.checks.push_back({{"name", row.kernel}, {"status", equal ? "ok" : "WRONG"}, {"detail", detail}});
    all_equal = all_equal && equal;
  }
  context.print(text);
  if (!all_equal)
    fail_run("doctor: kernels on this GPU differ from their CPU twins; see the table, and use --device cpu");
  context.print("\nevery kernel on this GPU gives the bytes of its CPU twin\n");
  return ExitCode::ok;
}

}  // namespace pare
