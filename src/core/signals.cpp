#include "src/core/signals.hpp"

#include <csignal>
#include <initializer_list>

#include <unistd.h>

#include "src/core/error.hpp"

namespace pare {

namespace {

volatile std::sig_atomic_t stop_flag = 0;

void on_signal(int signal) {
  // The second SIGINT finds the default action again.
  if (signal == SIGINT) std::signal(SIGINT, SIG_DFL);
  stop_flag = 1;
}

void leave(int) { ::_exit(static_cast<int>(ExitCode::preempted)); }

void install(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) sigaction(signal, &action, nullptr);
}

}  // namespace

void leave_on_stop_signals() { install(leave); }

void install_stop_signals() { install(on_signal); }

bool stop_requested() { return stop_flag != 0; }

}  // namespace pare
