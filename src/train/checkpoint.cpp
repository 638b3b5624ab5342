#include "src/train/checkpoint.hpp"

#include <cstring>

#include <ATen/ops/empty_like.h>

#include "formats/hdf5_file.hpp"
#include "src/core/error.hpp"

namespace pare {
namespace {

constexpr const char* format_name = "pare-checkpoint";

// All tensors one behind the other, in the order of their names.
ByteRope packed(const std::map<std::string, at::Tensor>& tensors) {
  ByteRope rope;
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor host = tensor.detach().to(at::kCPU).contiguous();
    rope.append(std::string(static_cast<const char*>(host.const_data_ptr()), host.nbytes()));
  }
  return rope;
}

void unpack(const Bytes& data, const std::map<std::string, at::Tensor>& tensors) {
  const c10::AutoGradMode no_grad(false);
  size_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor host =
        at::empty_like(tensor, tensor.options().device(at::kCPU).requires_grad(false), at::MemoryFormat::Contiguous);
    if (data.size() - offset < host.nbytes()) fail_input("checkpoint: tensor '{}' is missing", name);
    if (host.nbytes() != 0) std::memcpy(host.mutable_data_ptr(), data.data() + offset, host.nbytes());
    offset += host.nbytes();
    tensor.copy_(host);
  }
  if (offset != data.size()) fail_input("checkpoint: holds {} bytes of tensors (expected {})", data.size(), offset);
}

void check_settings(const Json& stored, const Json& wanted) {
  for (const auto& [key, value] : wanted.items())
    if (!stored.contains(key) || stored[key] != value)
      fail_usage(
          "belongs to a run with other settings: {} (got {}, expected {}); give --no-resume to start anew, or "
          "another --run-dir",
          key, value.dump(), stored.contains(key) ? stored[key].dump() : "nothing");
}

}  // namespace

void save_checkpoint(const Checkpoint& checkpoint, const std::string& path) {
  Hdf5File file = Hdf5File::create(4);
  Hdf5Group root = file.root();
  root.set_attribute("format", format_name);
  root.write_text("settings", checkpoint.settings.dump());
  root.write_text("state", checkpoint.state.dump());
  root.write_bytes("graph", checkpoint.graph);
  root.write_bytes("tensors", packed(checkpoint.tensors));
  AtomicFile target(path);
  file.write_to(target);
  target.commit();
}

void load_checkpoint(Checkpoint& checkpoint, const std::string& path) {
  with_context(path, [&] {
    const Hdf5Group root = Hdf5File::open(path).root();
    if (!root.has_attribute("format") || root.attribute("format") != format_name) fail_input("is not a checkpoint");
    check_settings(Json::parse(root.read_text("settings")), checkpoint.settings);
    checkpoint.state = Json::parse(root.read_text("state"));
    unpack(root.read_bytes("tensors"), checkpoint.tensors);
  });
}

}  // namespace pare
