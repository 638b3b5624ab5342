#include "commands/onnx_runtime.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "commands/sibling.hpp"
#include "src/core/error.hpp"

namespace pare {
namespace {

namespace fs = std::filesystem;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

// libonnxruntime.so.1.x.y of a folder; empty when it has none.
std::string library_in(const fs::path& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (entry.path().filename().string().starts_with("libonnxruntime.so")) return entry.path().string();
  return "";
}

// The library of the wheel in a folder of packages as `<root>/lib/python3.11/site-packages`.
std::string library_under(const std::string& root) {
  std::error_code error;
  if (root.empty()) return "";
  for (const auto& version : fs::directory_iterator(root + "/lib", error)) {
    if (!version.path().filename().string().starts_with("python3")) continue;
    for (const char* packages : {"site-packages", "dist-packages"})
      if (auto path = library_in(version.path() / packages / "onnxruntime" / "capi"); !path.empty()) return path;
  }
  return "";
}

// What python3 would import, without importing it.
std::string library_of_python() {
  constexpr const char* command =
      "python3 -c 'import importlib.util as u; s = u.find_spec(\"onnxruntime\"); print(s.origin if s else \"\")' "
      "2>/dev/null";
  const auto close = [](FILE* pipe) { ::pclose(pipe); };
  const std::unique_ptr<FILE, decltype(close)> pipe(::popen(command, "r"), close);
  std::array<char, 4096> line{};
  if (!pipe || std::fgets(line.data(), static_cast<int>(line.size()), pipe.get()) == nullptr) return "";
  return library_in(fs::path(line.data()).parent_path() / "capi");
}

}  // namespace

std::string find_onnx_runtime() {
  if (const std::string given = environment("PARE_ORT"); !given.empty()) {
    const std::string path = fs::is_directory(given) ? library_in(given) : given;
    if (!fs::is_regular_file(path)) fail_usage("PARE_ORT: {} is no libonnxruntime.so and no folder with one", given);
    return path;
  }
  if (auto path = library_under(environment("VIRTUAL_ENV")); !path.empty()) return path;
  if (auto path = library_of_python(); !path.empty()) return path;
  for (const std::string& root :
       {cache_folder() + "/python", environment("HOME") + "/.local", std::string("/usr/local"), std::string("/usr")})
    if (auto path = library_under(root); !path.empty()) return path;
  return "";
}

}  // namespace pare
