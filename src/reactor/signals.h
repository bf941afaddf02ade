// Signals as events. They are blocked for the process and read from a descriptor, so that no handler ever runs in the
// middle of something else; a child gets a clean mask from process.h.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>

#include "reactor/handle.h"

namespace shoal::reactor {

/// To be called first in main: a peer that closes is an error code of write, not the end of the process.
void ignore_sigpipe();

/// For the way out: what comes after the last decision must not end the process with a status of its own.
void ignore_signals(std::initializer_list<int> signals);

class Signals {
 public:
  /// Where the signal came from, for the log: 0 = the kernel, or a process outside our namespace.
  using Handler = std::function<void(int signal, int sender_pid)>;

  /// A signal belongs to one Signals at a time. Equal signals that are pending together are one event.
  Signals(Loop& loop, std::initializer_list<int> signals, Handler handler);
  /// Discards what is pending and unblocks the signals again.
  ~Signals();

 private:
  void on_readable();

  Handler handler_;
  Watch watch_;
  std::uint64_t mask_ = 0;  // Bit n - 1 for signal n.
};

}  // namespace shoal::reactor
