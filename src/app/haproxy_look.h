// Asks on a runtime socket whether a HAProxy answers, and which process that is: one connection, one `show info`.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>

#include "config/config.h"
#include "reactor/client_stream.h"
#include "reactor/loop.h"

namespace shoal::app {

class HaproxyLook final : private reactor::ClientStreamHandler {
 public:
  enum class Answer : std::uint8_t {
    kNobody,   // No such socket, or nobody listens on it.
    kSilent,   // Somebody listens, or forbids us to look, and no HAProxy's answer came.
    kHaproxy,  // `pid` is the process that answered: without -W HAProxy itself, else a worker.
  };
  using Told = std::function<void(Answer answer, pid_t pid)>;
  static constexpr Duration kTimeout = 2s;

  /// `socket` must outlive it.
  HaproxyLook(reactor::Loop& loop, const config::RuntimeSocket& socket, Told told);

  /// Answered once, never inside this call, within kTimeout. REQUIRES: the look before has been answered.
  void start();

 private:
  void ask();
  void on_opened() override { ask(); }
  void on_bytes(Bytes bytes) override;
  void on_closed(const Error& why) override;
  void end(Answer answer, pid_t pid);

  reactor::Loop& loop_;
  const config::RuntimeSocket& socket_;
  Told told_;
  reactor::ClientStream stream_;
  reactor::Timer timer_;
  std::string text_;  // As much of the answer as is of interest.
};

/// The number in the line "Pid: N" of `show info`; 0 while there is no such line.
[[nodiscard]] pid_t pid_in_info(std::string_view text);

}  // namespace shoal::app
