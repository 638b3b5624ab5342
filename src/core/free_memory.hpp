// How much memory a process may still take.
#pragma once

#include <cstdint>

namespace pare {

// Bytes that can be had without swapping: what Linux estimates (MemAvailable of /proc/meminfo), or what the process's
// control group (version 2, /sys/fs/cgroup) leaves if that is less. 0 where neither can be read.
int64_t free_memory();

}  // namespace pare
