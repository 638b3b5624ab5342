// The other executables: where they are, what they need, and how `pare` becomes one of them.
#pragma once

#include <string>

#include "commands/command.hpp"

namespace pare {

// Whether this executable is `pare` itself, which hands over what it does not link; siblings never do.
bool is_front();

// `libexec/pare/<name>` beside this executable (build tree) or beside its folder (installed); "" where neither exists.
std::string find_sibling(const std::string& name);

// The LibTorch that this build works with.
struct Torch {
  std::string folder;   // the wheel's `torch` folder
  std::string version;  // "2.11.0+cu130"

  // The value of LD_LIBRARY_PATH under which an engine finds it: its folders, then the present value.
  std::string library_path() const;
  bool has_cuda() const;
};

// PARE_TORCH_DIR, else ${PARE_CACHE:-~/.cache/pare}/torch-<version>/torch. Throws (exit 1) when it is missing or not
// the version that this build needs.
Torch find_torch();

// Folder of downloads and caches: PARE_CACHE, else ~/.cache/pare.
std::string cache_folder();

// Why pare-engine-cuda cannot be taken on this machine; "" when it can. Says nothing of a GPU's health.
std::string why_no_cuda();

// Replaces this process by the sibling, with the same arguments, process id, signals and exit status. `device` is the
// value of
// --device, "cpu" for commands without it. Throws: exit 2 when CUDA is asked for and absent, exit 1 when the sibling or
// its LibTorch is missing.
[[noreturn]] void exec_sibling(Sibling sibling, const std::string& device, char** argv);

}  // namespace pare
