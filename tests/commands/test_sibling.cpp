#include <cstdlib>
#include <filesystem>

#include <doctest/doctest.h>

#include "commands/sibling.hpp"
#include "tests/support/temporary_folder.hpp"

namespace pare {

namespace {

// Sets a variable of the environment for as long as it lives.
class Environment {
 public:
  Environment(const char* name, const std::string& value) : name_(name), had_(std::getenv(name) != nullptr) {
    if (had_) before_ = std::getenv(name);
    ::setenv(name, value.c_str(), 1);
  }
  ~Environment() {
    if (had_) ::setenv(name_, before_.c_str(), 1);
    else ::unsetenv(name_);
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  const char* name_;
  bool had_;
  std::string before_;
};

// A folder that looks like the wheel's `torch`.
std::string make_torch(const test::TemporaryFolder& root, const std::string& name, const std::string& version) {
  const std::string folder = root.file(name);
  std::filesystem::create_directories(folder + "/lib");
  test::write_whole(folder + "/lib/libtorch_cpu.so", "");
  test::write_whole(folder + "/version.py",
                    "from typing import Optional\n__version__ = '" + version + "'\ndebug = False\n");
  return folder;
}

std::string error_of_find_torch() {
  try {
    find_torch();
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::failure);
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("sibling: LibTorch is found by PARE_TORCH_DIR before the cache") {
  const test::TemporaryFolder root;
  const std::string cached = make_torch(root, "torch-" PARE_TORCH_VERSION "/torch", PARE_TORCH_VERSION);
  const std::string given = make_torch(root, "own/torch", PARE_TORCH_VERSION "+cpu");
  const Environment cache("PARE_CACHE", root.file(""));
  {
    const Environment torch("PARE_TORCH_DIR", given + "/");
    CHECK(find_torch().folder == given);
    CHECK(find_torch().version == PARE_TORCH_VERSION "+cpu");
  }
  const Environment torch("PARE_TORCH_DIR", "");
  CHECK(std::filesystem::equivalent(find_torch().folder, cached));
  CHECK_FALSE(find_torch().has_cuda());
}

TEST_CASE("sibling: a missing or wrong LibTorch is an error that names the way out") {
  const test::TemporaryFolder root;
  {
    const Environment torch("PARE_TORCH_DIR", root.file("nothing"));
    CHECK(error_of_find_torch() == fmt::format("PARE_TORCH_DIR: {}: no LibTorch {} there; run scripts/setup.sh, or set "
                                               "PARE_TORCH_DIR to the `torch` folder of the wheel",
                                               root.file("nothing"), PARE_TORCH_VERSION));
  }
  // "2.11.01" begins like "2.11.0".
  for (const std::string version : {"1.0.0+cpu", PARE_TORCH_VERSION "1", ""}) {
    const Environment torch("PARE_TORCH_DIR", make_torch(root, "t" + version, version));
    CHECK(error_of_find_torch().find(
              fmt::format("wrong LibTorch (got '{}', expected {})", version, PARE_TORCH_VERSION)) != std::string::npos);
  }
}

TEST_CASE("sibling: the engine's library path puts LibTorch before what was there") {
  const Torch torch{"/opt/site/torch", PARE_TORCH_VERSION};
  {
    const Environment path("LD_LIBRARY_PATH", "/mine");
    CHECK(torch.library_path() == "/opt/site/torch/lib:/opt/site/nvidia/cu13/lib:/mine");
  }
  const Environment path("LD_LIBRARY_PATH", "");
  CHECK(torch.library_path() == "/opt/site/torch/lib:/opt/site/nvidia/cu13/lib");
}

TEST_CASE("sibling: an executable that is not installed anywhere is not found") {
  CHECK(find_sibling("pare-nonesuch") == "");
}

}  // namespace pare
