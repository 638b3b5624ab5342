// Where the teacher's outputs come from.
#pragma once

#include "src/data/loader.hpp"
#include "src/exec/executor.hpp"

namespace pare {

// A model that runs forward together with its parameters; both must outlive what holds this.
struct Runnable {
  const Executor* executor = nullptr;
  const Parameters* parameters = nullptr;
};

class Teacher {
 public:
  virtual ~Teacher() = default;
  // The outputs for a batch of `epoch`, whose inputs lie on the device. No gradients.
  virtual std::vector<at::Tensor> outputs(const Batch& batch, std::span<const at::Tensor> inputs, int64_t epoch) = 0;
  // Keeps what was computed so far, where outputs are kept between runs; called with every checkpoint.
  virtual void save() {}
};

// Teachers that run, each with the same outputs in the same order: the mean of them.
class LiveTeacher : public Teacher {
 public:
  explicit LiveTeacher(std::vector<Runnable> teachers) : teachers_(std::move(teachers)) {}
  std::vector<at::Tensor> outputs(const Batch& batch, std::span<const at::Tensor> inputs, int64_t epoch) override;

 private:
  std::vector<Runnable> teachers_;
};

}  // namespace pare
