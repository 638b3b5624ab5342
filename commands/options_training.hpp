// How a command trains: length, optimizer, distillation, precision.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "commands/options_data.hpp"

namespace CLI {
class App;
}

namespace pare {

struct TrainingOptions {
  std::string task = "auto";         // auto | classify | regress | none
  std::string loss;                  // "kl:0.7,ce:0.3"; empty: by task
  std::vector<std::string> outputs;  // that `loss` is about; empty: all, with labels the first
  int64_t epochs = 10;
  int64_t steps = 0;  // > 0: this many steps instead of `epochs`
  int64_t batch = 128;
  int64_t accumulate = 1;  // batches a step
  double lr = 1e-3;
  std::string optimizer = "adamw";     // sgd | adamw
  double momentum = 0.9;               // of sgd
  bool no_nesterov = false;            // sgd with classical momentum
  std::string lr_schedule = "cosine";  // cosine | step | constant
  int64_t warmup = 0;                  // steps over which the learning rate rises from 0
  double weight_decay = 1e-4;
  double clip_norm = 0;    // limit of the norm of all gradients; 0: none
  double ema = 0;          // decay of the moving average of the weights; 0: none
  int64_t early_stop = 0;  // validations without a better one before the training ends; 0: never
  double label_smoothing = 0;
  std::string augment;               // "flip,shift:2"; empty: none. Syntax checked
  std::string batch_norm = "train";  // freeze | train | reestimate
  std::string precision = "auto";    // auto | fp32 | bf16 | fp16
};

// The weight of the distillation loss is kd_weight, that of the labels 1 - kd_weight.
struct TeacherOptions {
  std::vector<std::string> teachers = {"original"};  // prune: original | self | FILE | none; distill: FILE | none
  double temperature = 2;
  double kd_weight = 0.7;
  std::string match;                    // "student:teacher,..." outputs; empty: by name, else in order
  std::string features;                 // none | auto | "a:b,..."; empty: blocks of the same network without labels
  std::string feature_loss = "fitnet";  // fitnet | attention | similarity | relational
  double feature_weight = 1;
  std::string cache = "off";  // folder of teachers' outputs
};

// Defaults shown in help are the values that `options` holds when it is added.
void add_training_options(CLI::App& app, TrainingOptions& options);

// Samples at once where nothing is trained: without gradients they take less memory.
int64_t evaluation_batch(const TrainingOptions& options);

// Refuses (exit 2) what only works with validation samples when there are none.
void check_training(const TrainingOptions& options, const DataOptions& data);

// --temperature, --kd-weight, features; --teacher itself is the command's.
void add_teacher_options(CLI::App& app, TeacherOptions& options);

// Refuses (exit 2) a teacher that is neither one of `words` nor a file.
void check_teacher(const TeacherOptions& options, const std::vector<std::string>& words);

}  // namespace pare
