#include "commands/sibling.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <unistd.h>

#include "formats/model_io.hpp"

namespace pare {

namespace fs = std::filesystem;

namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

// The version in the wheel's version.py; "" when there is none.
std::string version_of(const std::string& folder) {
  std::ifstream file(folder + "/version.py");
  constexpr std::string_view key = "__version__ = '";
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(key)) return line.substr(key.size(), line.find('\'', key.size()) - key.size());
  return "";
}

std::string engine_of(const std::string& device) {
  if (device == "cpu") return "pare-engine";
  const std::string reason = why_no_cuda();
  if (reason.empty()) return "pare-engine-cuda";
  if (device.starts_with("cuda")) fail_usage("--device {}: {}; use --device cpu", device, reason);
  return "pare-engine";
}

}  // namespace

bool is_front() { return format_of("model.h5").load == nullptr; }

std::string find_sibling(const std::string& name) {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  if (error) fail_run("/proc/self/exe: cannot be read ({}); pare finds its other executables by it", error.message());
  for (const auto& root : {self.parent_path(), self.parent_path().parent_path()}) {
    const fs::path path = root / "libexec" / "pare" / name;
    if (fs::is_regular_file(path, error)) return path.string();
  }
  return "";
}

std::string Torch::library_path() const {
  const std::string nvidia = (fs::path(folder).parent_path() / "nvidia" / "cu13" / "lib").string();
  const std::string present = environment("LD_LIBRARY_PATH");
  return fmt::format("{}/lib:{}{}{}", folder, nvidia, present.empty() ? "" : ":", present);
}

bool Torch::has_cuda() const { return fs::exists(folder + "/lib/libtorch_cuda.so"); }

std::string cache_folder() {
  const std::string cache = environment("PARE_CACHE");
  return cache.empty() ? environment("HOME") + "/.cache/pare" : cache;
}

Torch find_torch() {
  Torch torch;
  torch.folder = environment("PARE_TORCH_DIR");
  const bool given = !torch.folder.empty();
  if (!given) torch.folder = cache_folder() + "/torch-" PARE_TORCH_VERSION "/torch";
  while (torch.folder.size() > 1 && torch.folder.ends_with('/')) torch.folder.pop_back();
  const char* const where = given ? "PARE_TORCH_DIR: " : "";
  if (!fs::exists(torch.folder + "/lib/libtorch_cpu.so"))
    fail_run(
        "{}{}: no LibTorch {} there; run scripts/setup.sh, or set PARE_TORCH_DIR to the `torch` folder of the wheel",
        where, torch.folder, PARE_TORCH_VERSION);
  torch.version = version_of(torch.folder);
  if (torch.version.substr(0, torch.version.find('+')) != PARE_TORCH_VERSION)
    fail_run(
        "{}{}: wrong LibTorch (got '{}', expected {}); run scripts/setup.sh, or set PARE_TORCH_DIR to the right one",
        where, torch.folder, torch.version, PARE_TORCH_VERSION);
  return torch;
}

std::string why_no_cuda() {
  if (find_sibling("pare-engine-cuda").empty()) return "this build has no pare-engine-cuda";
  const int driver = ::open("/dev/nvidiactl", O_RDWR | O_CLOEXEC);
  if (driver < 0) return fmt::format("no NVIDIA driver (/dev/nvidiactl: {})", std::strerror(errno));
  ::close(driver);
  if (!find_torch().has_cuda()) return "LibTorch was installed without CUDA";
  return "";
}

void exec_sibling(Sibling sibling, const std::string& device, char** argv) {
  const std::string name = sibling == Sibling::hdf5 ? "pare-hdf5" : engine_of(device);
  const std::string path = find_sibling(name);
  if (path.empty())
    fail_run("{}: not found under libexec/pare beside pare; run scripts/setup.sh, or install pare again", name);
  if (sibling == Sibling::engine) {
    ::setenv("LD_LIBRARY_PATH", find_torch().library_path().c_str(), 1);
    // Threads that wait for others spin a third as long as GNU's OpenMP has them: beside other programs, as on CI
    // machines, they otherwise take the time of those that they wait for (halves it for small steps there, no
    // difference on an idle machine).
    if (environment("OMP_WAIT_POLICY").empty()) ::setenv("GOMP_SPINCOUNT", "100000", 0);
  }
  ::execv(path.c_str(), argv);
  fail_run("{}: cannot be executed ({})", path, std::strerror(errno));
}

}  // namespace pare
