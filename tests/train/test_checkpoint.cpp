#include <filesystem>

#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <doctest/doctest.h>

#include "src/core/error.hpp"
#include "src/train/checkpoint.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace pare;

namespace {

Checkpoint example() {
  Checkpoint checkpoint{{{"lr", 0.1}, {"seed", 3}}, {{"steps", 42}}, {}};
  checkpoint.tensors["a"] = at::ones({2, 3, 4, 4}).contiguous(at::MemoryFormat::ChannelsLast);
  checkpoint.tensors["a"].select(0, 1).fill_(7);
  checkpoint.tensors["mask"] = at::ones({5}, at::kByte);
  return checkpoint;
}

Checkpoint blank(Json settings) {
  Checkpoint checkpoint{std::move(settings), {}, {}};
  checkpoint.tensors["a"] = at::zeros({2, 3, 4, 4}).contiguous(at::MemoryFormat::ChannelsLast);
  checkpoint.tensors["mask"] = at::zeros({5}, at::kByte);
  return checkpoint;
}

}  // namespace

TEST_CASE("checkpoint: tensors of any layout and the state come back") {
  const test::TemporaryFolder folder;
  const Checkpoint saved = example();
  save_checkpoint(saved, folder.file("c.h5"));
  Checkpoint loaded = blank(saved.settings);
  load_checkpoint(loaded, folder.file("c.h5"));
  CHECK(loaded.state == saved.state);
  for (const auto& [name, tensor] : saved.tensors) CHECK(loaded.tensors.at(name).equal(tensor));
  CHECK(folder.entries() == 1);
}

TEST_CASE("checkpoint: the first setting that differs is named") {
  const test::TemporaryFolder folder;
  save_checkpoint(example(), folder.file("c.h5"));
  Checkpoint other = blank({{"lr", 0.1}, {"seed", 4}});
  try {
    load_checkpoint(other, folder.file("c.h5"));
    FAIL("expected an error");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::usage);
    CHECK(std::string(error.what()).find("seed (got 4, expected 3)") != std::string::npos);
  }
}

TEST_CASE("checkpoint: other tensors and damaged files are refused") {
  const test::TemporaryFolder folder;
  save_checkpoint(example(), folder.file("c.h5"));
  Checkpoint more = blank(example().settings);
  more.tensors["z"] = at::zeros({9});
  CHECK_THROWS_AS(load_checkpoint(more, folder.file("c.h5")), Error);
  std::filesystem::resize_file(folder.file("c.h5"), 700);
  Checkpoint loaded = blank(example().settings);
  CHECK_THROWS_AS(load_checkpoint(loaded, folder.file("c.h5")), Error);
}
