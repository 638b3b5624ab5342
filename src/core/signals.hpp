// Stopping in good order: signals set a flag, and long work looks at it.
#pragma once

namespace pare {

// From now on SIGINT, SIGTERM and SIGUSR1 end the process with exit 75: nothing is lost that could be resumed. Called
// by commands that train, first of all.
void leave_on_stop_signals();

// From now on SIGINT, SIGTERM and SIGUSR1 only set the flag; a second SIGINT ends the process as if nothing were
// installed. Called before the steps that checkpoints are written of.
void install_stop_signals();

// Whether one of the signals has come. Cheap; safe from any thread.
bool stop_requested();

}  // namespace pare
