// What follows the removal of channels, heads or blocks: the proof, retraining, the written files and their report.
#pragma once

#include "commands/channel_samples_run.hpp"
#include "commands/latency_run.hpp"
#include "compress/shrink_proof.hpp"

namespace pare {

// A smaller model that is to be retrained and written.
struct ShrunkResult {
  Model model;
  // With the sizes of the samples: those that a file leaves open would count for nothing.
  Graph before;
  Graph after;
  ShrinkProof proof;
};

// global | layer: `auto` is global.
std::string channel_scope(const PruneOptions& options);

ChannelLimits channel_limits(const PruneOptions& options);

// The lineage's step: the settings that choose what goes.
Json shrunk_lineage(const PruneOptions& options);

// prove_shrink(); throws (exit 1) naming the output when the proof fails.
ShrinkProof proved_shrink(const Graph& masked, const Graph& shrunk, std::span<const at::Tensor> inputs);

// MACs and layers before and after, the proof, and the table.
void report_shrunk(const ShrunkResult& result, RunContext& context);

// Retrains the smaller model where the options say so, writes every output, measures the first written file, and fills
// the report. `loaded` is the model as it was given. Returns ok, or preempted after a checkpoint.
ExitCode finish_shrunk(const PruneOptions& options, const LoadedModel& loaded, const ShrunkResult& result,
                       const ChannelSamples& samples, at::Device device, RunContext& context);

// What a run that goes on from a checkpoint had chosen by measuring: it would measure something else now. Null when
// there is none. Throws (exit 3) when it is damaged, or its list `list` does not have that many entries.
Json kept_choice(const PruneOptions& options, const char* list, size_t entries);
// Puts a choice into the run folder, until the run is done.
void keep_choice(const PruneOptions& options, const Json& choice);

// Measures the first written file against the original, and puts that into the report: plan.latency, metrics.speedup.
// Returns whether it takes at most --keep-latency of the original's time. A masked model is not faster, and not
// measured.
bool verify_latency(const PruneOptions& options, const LatencyMeter& meter, RunContext& context);

}  // namespace pare
