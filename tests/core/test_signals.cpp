#include <csignal>
#include <initializer_list>

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/core/signals.hpp"

namespace pare {

namespace {

// The wait status of a child process that runs `body` and then exits with its result. Signals are the process's own, so
// each case needs one.
template <class Body>
int status_of(const Body& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

int exit_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status); }

}  // namespace

TEST_CASE("signals: before there is anything to save, each stop signal ends the process with exit 75") {
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) {
    const int status = status_of([signal] {
      leave_on_stop_signals();
      std::raise(signal);
      return 1;
    });
    CHECK(exit_of(status) == 75);
  }
}

TEST_CASE("signals: each stop signal sets the flag and the process goes on") {
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) {
    const int status = status_of([signal] {
      install_stop_signals();
      if (stop_requested()) return 1;
      std::raise(signal);
      return stop_requested() ? 7 : 2;
    });
    CHECK(exit_of(status) == 7);
  }
}

TEST_CASE("signals: the second SIGINT ends the process by the signal") {
  const int status = status_of([] {
    install_stop_signals();
    std::raise(SIGINT);
    std::raise(SIGINT);
    return 0;
  });
  CHECK(exit_of(status) == -SIGINT);
}

TEST_CASE("signals: a second SIGTERM is no reason to die before the checkpoint") {
  const int status = status_of([] {
    install_stop_signals();
    std::raise(SIGTERM);
    std::raise(SIGTERM);
    return stop_requested() ? 7 : 2;
  });
  CHECK(exit_of(status) == 7);
}

}  // namespace pare
