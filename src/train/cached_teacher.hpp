// A teacher whose outputs are computed once for each sample that it sees, and kept on disk for other runs.
#pragma once

#include "src/graph/tensor.hpp"
#include "src/train/teacher.hpp"
#include "src/train/teacher_store.hpp"

namespace pare {

struct CachedOutput {
  std::string name;
  bool logits = false;  // only their softmax matters
};

struct CachedTeacherConfig {
  std::string folder;
  std::string key;                    // names everything but the sample that the outputs depend on
  std::vector<CachedOutput> outputs;  // in the order of the teacher's
  std::vector<bool> shared_inputs;    // by input: one array for all samples
  bool fixed_batch = false;           // the teacher takes batches of one size alone
  TeacherStore::Warn warn;
};

// Samples are recognised by a hash (XXH3, 128 bits) of exactly what the teacher sees of them, after preprocessing and
// augmentation. So every run, seed, subset and order of the data shares what is there, and equal draws of an
// augmentation are computed once.
//
// Outputs are kept as fp16; of logits of more than 256 classes, the 64 largest and the others' mean in probability.
// What a batch gets is always what is kept, whether it was computed now or earlier: a run that finds everything equals
// one that finds nothing.
class CachedTeacher : public Teacher {
 public:
  // Reads what is there; `live` computes what is missing.
  CachedTeacher(std::unique_ptr<Teacher> live, CachedTeacherConfig config);

  // Throws (exit 3) for outputs without a batch dimension, of changing shapes, or beyond the range of fp16.
  std::vector<at::Tensor> outputs(const Batch& batch, std::span<const at::Tensor> inputs, int64_t epoch) override;
  void save() override { store_.save(); }

  int64_t found() const { return found_; }        // samples whose outputs were there
  int64_t computed() const { return computed_; }  // samples that the teacher ran for

 private:
  SampleKey key_of(const Batch& batch, int64_t sample) const;
  void compute(const Batch& batch, std::span<const at::Tensor> inputs, int64_t epoch,
               const std::vector<int64_t>& missing, const std::vector<SampleKey>& keys);
  void read_layout(const std::string& layout);
  void check_shapes(const std::vector<at::Tensor>& outputs, int64_t rows);

  std::unique_ptr<Teacher> live_;
  CachedTeacherConfig config_;
  TeacherStore store_;
  std::vector<Shape> shapes_;  // of a sample's outputs; empty until they are known
  int64_t found_ = 0;
  int64_t computed_ = 0;
};

}  // namespace pare
