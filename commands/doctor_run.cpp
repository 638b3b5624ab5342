#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include <dlfcn.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "commands/doctor.hpp"
#include "commands/onnx_runtime.hpp"
#include "commands/sibling.hpp"
#include "src/core/cost.hpp"
#include "src/core/table.hpp"
#include "src/core/threads.hpp"

extern "C" char** environ;

namespace pare {

namespace fs = std::filesystem;

namespace {

enum class Status { ok, missing, absent };

struct Check {
  std::string name;
  Status status;  // missing: a command cannot run; absent: pare does without it
  std::string detail;
};

const char* status_text(Status status) {
  switch (status) {
    case Status::ok:
      return "ok";
    case Status::missing:
      return "MISSING";
    case Status::absent:
      return "absent";
  }
  return "";
}

// Runs `path --version` with the library path; the reason it failed, or "" when it printed this build's version.
std::string why_not_running(const std::string& path, const std::string& library_path) {
  std::array<int, 2> pipe_ends{};
  if (::pipe(pipe_ends.data()) != 0) return "no pipe";
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable)
    if (library_path.empty() || !std::string_view(*variable).starts_with("LD_LIBRARY_PATH="))
      variables.emplace_back(*variable);
  if (!library_path.empty()) variables.push_back("LD_LIBRARY_PATH=" + library_path);
  std::vector<char*> pointers;
  for (auto& variable : variables) pointers.push_back(variable.data());
  pointers.push_back(nullptr);

  std::string program = path;
  std::string argument = "--version";
  std::array<char*, 3> arguments = {program.data(), argument.data(), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (const int stream : {STDOUT_FILENO, STDERR_FILENO})
    posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], stream);
  for (const int end : pipe_ends) posix_spawn_file_actions_addclose(&actions, end);
  pid_t child = 0;
  const int error = posix_spawn(&child, path.c_str(), &actions, nullptr, arguments.data(), pointers.data());
  posix_spawn_file_actions_destroy(&actions);
  ::close(pipe_ends[1]);
  std::string output;
  std::array<char, 4096> buffer{};
  for (ssize_t count = 0; error == 0 && (count = ::read(pipe_ends[0], buffer.data(), buffer.size())) > 0;)
    output.append(buffer.data(), static_cast<size_t>(count));
  ::close(pipe_ends[0]);
  if (error != 0) return "cannot be executed";
  int status = 0;
  ::waitpid(child, &status, 0);
  if (output == "pare " PARE_VERSION "\n" && status == 0) return "";
  return output.empty() ? fmt::format("ends with status {}", status) : output.substr(0, output.find('\n'));
}

Check check_sibling(const std::string& name, const std::string& library_path, Status otherwise) {
  const std::string path = find_sibling(name);
  if (path.empty()) return {name, otherwise, "not found under libexec/pare beside pare"};
  const std::string reason = why_not_running(path, library_path);
  return {name, reason.empty() ? Status::ok : otherwise, reason.empty() ? path : reason};
}

// LibTorch, and the engines that need it.
void check_engines(std::vector<Check>& checks) {
  std::optional<Torch> torch;
  try {
    torch = find_torch();
    checks.push_back({"LibTorch", Status::ok, torch->version + " in " + torch->folder});
  } catch (const Error& error) {
    checks.push_back({"LibTorch", Status::missing, error.what()});
  }
  const std::string library_path = torch ? torch->library_path() : "";
  checks.push_back(check_sibling("pare-engine", library_path, Status::missing));
  checks.push_back(check_sibling("pare-hdf5", "", Status::missing));
  const std::string reason = why_no_cuda();
  if (reason.empty()) checks.push_back(check_sibling("pare-engine-cuda", library_path, Status::absent));
  else checks.push_back({"pare-engine-cuda", Status::absent, reason});
}

// Names of the GPUs by the driver's own library; prototypes as in the CUDA driver API.
Check check_gpus() {
  const std::string name = "NVIDIA GPUs";
  void* const driver = ::dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (driver == nullptr) return {name, Status::absent, "libcuda.so.1 is not installed"};
  const auto init = reinterpret_cast<int (*)(unsigned)>(::dlsym(driver, "cuInit"));
  const auto get_count = reinterpret_cast<int (*)(int*)>(::dlsym(driver, "cuDeviceGetCount"));
  const auto get_name = reinterpret_cast<int (*)(char*, int, int)>(::dlsym(driver, "cuDeviceGetName"));
  int count = 0;
  if (init == nullptr || get_count == nullptr || get_name == nullptr || init(0) != 0 || get_count(&count) != 0 ||
      count == 0)
    return {name, Status::absent, "the driver finds none"};
  std::string names;
  for (int device = 0; device < count; ++device) {
    std::array<char, 128> text{};
    if (get_name(text.data(), static_cast<int>(text.size()), device) == 0)
      names += fmt::format("{}{}", names.empty() ? "" : ", ", text.data());
  }
  return {name, Status::ok, fmt::format("{}: {}", count, names)};
}

// What evaluate runs models with.
Check check_onnx_runtime() {
  const std::string name = "ONNX Runtime";
  try {
    const std::string path = find_onnx_runtime();
    if (path.empty()) return {name, Status::absent, "no onnxruntime wheel found; evaluate runs models by itself"};
    if (void* library = ::dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL); library == nullptr)
      return {name, Status::absent, fmt::format("{} cannot be loaded ({})", path, ::dlerror())};
    return {name, Status::ok, path};
  } catch (const Error& error) {
    return {name, Status::absent, error.what()};
  }
}

// Which of the instruction sets that matter here the kernel reports.
Check check_cpu() {
  std::ifstream file("/proc/cpuinfo");
  std::string model = "unknown processor";
  std::string found;
  for (std::string line; std::getline(file, line) && found.empty();) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    if (line.starts_with("model name") && colon + 2 < line.size()) model = line.substr(colon + 2);
    if (!line.starts_with("flags") && !line.starts_with("Features")) continue;
    std::istringstream words(line.substr(colon + 1));
    for (std::string word; words >> word;)
      for (const char* wanted : {"avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "asimd", "bf16", "i8mm"})
        if (word == wanted) found += " " + word;
  }
  return {"processor", Status::ok, model + ":" + (found.empty() ? " no vector extensions that pare uses" : found)};
}

Check check_cache() {
  const std::string folder = cache_folder();
  if (::access(folder.c_str(), W_OK) == 0) return {"cache folder", Status::ok, folder};
  return {"cache folder", Status::absent, folder + " does not exist or cannot be written"};
}

Check check_energy() {
  const Cost cost = CostMeter().measure();
  if (cost.cpu_energy) return {"energy counters", Status::ok, cost.ram_energy ? "processor and memory" : "processor"};
  return {"energy counters", Status::absent, "no readable RAPL counters in /sys/class/powercap"};
}

}  // namespace

ExitCode run_doctor(const DoctorOptions&, RunContext& context) {
  std::vector<Check> checks;
  check_engines(checks);
  checks.push_back(check_gpus());
  checks.push_back(check_onnx_runtime());
  checks.push_back(check_cpu());
  checks.push_back({"threads", Status::ok, fmt::format("{}", thread_count())});
  checks.push_back(check_cache());
  checks.push_back(check_energy());

  // No fixed width: paths and reasons must be readable in full.
  std::string text = fmt::format("pare {}\n\n", PARE_VERSION);
  for (const auto& check : checks) {
    text += fmt::format("{:<18}{:<9}{}\n", check.name, status_text(check.status), check.detail);
    context.report.checks.push_back(
        {{"name", check.name}, {"status", status_text(check.status)}, {"detail", check.detail}});
  }
  context.print(text);
  const bool complete =
      std::none_of(checks.begin(), checks.end(), [](const Check& check) { return check.status == Status::missing; });
  context.print(complete ? "\nevery command can run\n"
                         : "\nsome commands cannot run; scripts/setup.sh installs what is missing\n");
  if (!complete) fail_run("doctor: some commands cannot run on this machine; see the table");
  return ExitCode::ok;
}

}  // namespace pare
