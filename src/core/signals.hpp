// Stopping in good order: signals set a flag, and long work looks at it.
#pragma once

namespace pare {

// From now on SIGINT, SIGTERM and SIGUSR1 only set the flag; a second SIGINT ends the process as if nothing were
// installed. Called by commands that can write a checkpoint, before their work.
void install_stop_signals();

// Whether one of the signals has come. Cheap; safe from any thread.
bool stop_requested();

}  // namespace pare
