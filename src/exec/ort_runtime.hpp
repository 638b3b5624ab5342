// ONNX Runtime as a library that is loaded at run time: sessions that run a whole model, without ATen. Nothing of it is
// linked or included: the few functions used are called by their places in the OrtApi table, which only ever grows.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/graph/tensor.hpp"

namespace pare {

class OrtLibrary {
 public:
  // Loads libonnxruntime.so, of version 1.14 or newer, for the life of the process. Throws (exit 2) naming path and
  // reason when it cannot be.
  explicit OrtLibrary(const std::string& path);

  const std::string& path() const { return path_; }
  const std::string& version() const { return version_; }

 private:
  friend class OrtSession;

  std::string path_;
  std::string version_;
  const void* const* api_ = nullptr;  // OrtApi: function pointers
};

// A tensor that somebody else owns.
struct TensorView {
  DType dtype = DType::undefined;
  Shape shape;
  const std::byte* data = nullptr;
};

struct OrtConfig {
  int threads = 0;               // 0: as the library thinks
  bool optimize = true;          // false: every node runs as it stands in the file
  std::string optimized_path{};  // where the optimized model is written; empty: nowhere
};

class OrtSession {
 public:
  // `model`: the bytes of a model that stands alone, or a path (see from_file). `library` must outlive the session.
  // Throws (exit 3) with the library's reason when it refuses the model.
  OrtSession(const OrtLibrary& library, std::string_view model, const OrtConfig& config);
  // The same for a file: external data is found beside it.
  static OrtSession from_file(const OrtLibrary& library, const std::string& path, const OrtConfig& config);
  ~OrtSession();
  OrtSession(OrtSession&&) noexcept;

  // Runs the model: `inputs` under their names; returns the outputs of the names asked for. Throws (exit 3) with the
  // library's reason when it fails.
  std::vector<Tensor> run(const std::vector<std::string>& input_names, std::span<const TensorView> inputs,
                          const std::vector<std::string>& output_names) const;

 private:
  struct State;
  explicit OrtSession(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace pare
