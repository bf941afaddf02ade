// One TCP connect to see whether somebody listens there, closed at once. A fixed number at a time.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>

#include "base/containers.h"
#include "base/endpoint.h"
#include "reactor/handle.h"

namespace shoal::reactor {

enum class ProbeResult : std::uint8_t {
  kConnected,    // Somebody listens (or the kernel accepts for somebody who hangs).
  kRefused,      // Nobody listens.
  kTimedOut,     // No answer by the deadline.
  kUnreachable,  // No route, forbidden, or another error of the network.
};
[[nodiscard]] std::string_view to_text(ProbeResult result);

class ConnectProbes {
 public:
  static constexpr std::size_t kCapacity = 64;
  /// `token` is what the caller gave to `start`. The handler may start and cancel probes.
  using Handler = std::function<void(std::uint64_t token, const Endpoint& to, ProbeResult result)>;

  ConnectProbes(Loop& loop, Handler handler, std::size_t capacity = kCapacity);
  ~ConnectProbes();

  /// False when all are in use: ask again after the next answer. The answer never comes inside this call, and always
  /// comes unless cancelled.
  [[nodiscard]] bool start(std::uint64_t token, const Endpoint& to, Instant deadline);
  /// Ends every probe with this token without an answer.
  void cancel(std::uint64_t token);

  [[nodiscard]] std::size_t in_use() const { return in_use_; }
  [[nodiscard]] bool full() const { return in_use_ == slots_.capacity(); }

 private:
  struct Slot;
  void on_ready(Slot& slot);
  void on_timer();
  void finish(Slot& slot, ProbeResult result);
  void arm();

  Loop& loop_;
  Handler handler_;
  FixedVector<std::unique_ptr<Slot>> slots_;
  std::size_t in_use_ = 0;
  Timer timer_;
};

}  // namespace shoal::reactor
