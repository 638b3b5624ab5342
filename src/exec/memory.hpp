// How the process keeps its memory between steps.
#pragma once

namespace pare {

// Keeps freed tensors' memory in the process instead of returning it to the system: a training step frees and allocates
// the same sizes again, and pages fresh from the system are cleared first. Affects blocks of up to 32 MB, what glibc
// allows.
void keep_freed_memory();

// Returns what is free now, where a phase with large tensors of its own ends.
void return_freed_memory();

}  // namespace pare
