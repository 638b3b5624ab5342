#include "src/core/signals.hpp"

#include <csignal>
#include <initializer_list>

namespace pare {

namespace {

volatile std::sig_atomic_t stop_flag = 0;

void on_signal(int signal) {
  // The second SIGINT finds the default action again.
  if (signal == SIGINT) std::signal(SIGINT, SIG_DFL);
  stop_flag = 1;
}

}  // namespace

void install_stop_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) sigaction(signal, &action, nullptr);
}

bool stop_requested() { return stop_flag != 0; }

}  // namespace pare
