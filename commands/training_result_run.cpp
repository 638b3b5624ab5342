#include <algorithm>
#include <filesystem>

#include "commands/model_summary.hpp"
#include "commands/training_run.hpp"
#include "src/core/error.hpp"

namespace pare {

void TrainingRun::write(const std::vector<std::string>& masked, Json lineage, const Metrics* before) {
  Model result = student_.model;
  result.onnx = with_tensors(student_.model.onnx, parameters_.export_tensors());
  for (const std::string& name : masked)
    if (std::find(result.masked.begin(), result.masked.end(), name) == result.masked.end())
      result.masked.push_back(name);
  write_model(std::move(result), std::move(lineage), before);
}

void TrainingRun::write_model(Model result, Json lineage, const Metrics* before) {
  lineage["from"] = student_.model.sha256;
  result.lineage.push_back(std::move(lineage));
  std::vector<WrittenFile> files;
  const ModelOutputOptions& output = request_.options.output;
  for (const std::string& path : output.out) files.push_back(save_model(result, path, {output.entropy_code}));
  // What is reported is what is on disk: each file is read again, and each must give the same outputs.
  Evaluation first;
  for (const WrittenFile& file : files) {
    const LoadedModel written = load_executable(file.path);
    const Evaluation evaluation = evaluate_samples(written.graph, *final_, request_.options.data,
                                                   evaluation_batch(request_.options.training), device_);
    if (&file != &files.front()) {
      if (!evaluation.outputs.front().equal(first.outputs.front()))
        fail_run("{}: gives other outputs than {}", file.path, files.front().path);
      continue;
    }
    first = evaluation;
    const GraphCost cost = graph_cost(written.graph);
    context_.report.result = result_json(cost, files);
    context_.report.layers = layers_json(cost);
  }
  report_quality(first, before);
  if (files.size() == 1)
    context_.report.metrics["bytes_ratio"] =
        static_cast<double>(files[0].bytes) / static_cast<double>(student_.model.file_bytes);
}

void TrainingRun::report_quality(const Evaluation& evaluation, const Metrics* before) {
  Json& report = context_.report.metrics;
  if (final_->labelled()) {
    report["accuracy"] = evaluation.metrics.accuracy;
    if (before != nullptr) {
      report["accuracy_before"] = before->accuracy;
      report["accuracy_drop"] = before->accuracy - evaluation.metrics.accuracy;
    }
    report["loss"] = evaluation.metrics.loss;
  } else if (const auto fidelity = compare_outputs(evaluation.outputs, reference(*final_))) {
    report["cosine"] = fidelity->cosine;
    report["snr_db"] = fidelity->snr_db;
    if (fidelity->agreement) report["agreement"] = *fidelity->agreement;
  }
}

const char* TrainingRun::compared_with() const {
  return loss_plan_.task == "regress" || teachers_.empty() ? "cosine to the targets" : "cosine to the teacher";
}

void TrainingRun::finish() {
  std::error_code ignored;
  std::filesystem::remove(run_dir_ + "/checkpoint.h5", ignored);
  std::filesystem::remove(run_dir_ + "/choice.json", ignored);
  // What a killed run was writing.
  for (const auto& entry : std::filesystem::directory_iterator(run_dir_, ignored))
    if (entry.path().filename().string().starts_with("checkpoint.h5.tmp-")) std::filesystem::remove(entry, ignored);
  if (!owns_run_dir_) return;
  std::filesystem::remove(run_dir_ + "/log.jsonl", ignored);
  std::filesystem::remove(run_dir_, ignored);
}

}  // namespace pare
