// `pare prune --structure channel|head`: finds channel groups, chooses what goes, shrinks, proves, writes or retrains.
#pragma once

#include "commands/engine_run.hpp"
#include "commands/prune.hpp"

namespace pare {

ExitCode prune_channels(const PruneOptions& options, LoadedModel loaded, at::Device device, RunContext& context);

}  // namespace pare
