#include "cli/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>

#include "cli/streams.h"

namespace thimble::cli {
namespace {

constexpr std::array<int, 2> kSignals = {SIGINT, SIGTERM};
constexpr std::string_view kNote = "\nthimble: ending this step; once more ends at once\n";

// What a signal handler may touch.
volatile sig_atomic_t g_caught = 0;
volatile sig_atomic_t g_in_a_line = 0;  // standard error ends in half a line of progress

std::array<struct sigaction, kSignals.size()> g_before;  // not changed while they are caught

void catch_signal(int number) {
  const int kept = errno;
  g_caught = number;
  const std::string_view text = kNote.substr(g_in_a_line != 0 ? 0 : 1);
  [[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, text.data(), text.size());
  for (size_t i = 0; i < kSignals.size(); ++i) {
    if (g_before[i].sa_handler != SIG_IGN) ::signal(kSignals[i], SIG_DFL);
  }
  errno = kept;
}

}  // namespace

Interrupt::Interrupt() {
  g_caught = 0;
  g_in_a_line = terminal_rewrites_lines() ? 1 : 0;
  struct sigaction action = {};
  action.sa_handler = catch_signal;
  action.sa_flags = SA_RESTART;
  for (size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], nullptr, &g_before[i]);
  for (size_t i = 0; i < kSignals.size(); ++i) {
    // Who started us in the background wants it to stay deaf.
    if (g_before[i].sa_handler != SIG_IGN) ::sigaction(kSignals[i], &action, nullptr);
  }
}

Interrupt::~Interrupt() {
  for (size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &g_before[i], nullptr);
}

int Interrupt::signal() const { return g_caught; }

}  // namespace thimble::cli
