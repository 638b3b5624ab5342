// `pare prune --structure residual`: whole residual branches go.
#pragma once

#include "commands/engine_run.hpp"
#include "commands/prune.hpp"

namespace pare {

ExitCode prune_blocks(const PruneOptions& options, LoadedModel loaded, at::Device device, RunContext& context);

}  // namespace pare
