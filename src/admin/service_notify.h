// What shoal says of itself to a service manager (systemd's sd_notify protocol: datagrams of NAME=VALUE lines), as a
// Type=notify or Type=notify-reload service. State in, the next datagram out: nothing is queued, so that a manager that
// cannot be reached for a while is told what is so then. No socket, no clock.
//
//   READY=1       once; again after a reload
//   RELOADING=1   with MONOTONIC_USEC, in a datagram before that: the manager takes one of the two from each
//   STOPPING=1    once, the last
//   STATUS=...    with these, and by itself when it changes, kStatusGap apart
//   WATCHDOG=1    every half of what WATCHDOG_USEC asks for
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/containers.h"
#include "base/time.h"

namespace shoal::admin {

/// How often WATCHDOG=1 is due, of the environment's WATCHDOG_USEC and WATCHDOG_PID: half of it. Nothing when no
/// watchdog was asked for, or from another process, or when the values make no sense.
[[nodiscard]] std::optional<Duration> watchdog_interval(std::optional<std::string_view> usec,
                                                        std::optional<std::string_view> pid, std::int64_t own_pid);

class ServiceNotify final {
 public:
  static constexpr Duration kStatusGap = 200ms;
  static constexpr Duration kRetryMin = 50ms;
  static constexpr Duration kRetryMax = 5s;
  static constexpr std::size_t kStatusMax = 200;
  static constexpr std::size_t kDatagramMax = kStatusMax + 100;

  ServiceNotify(std::optional<Duration> watchdog, Instant now)
      : watchdog_(watchdog), watchdog_at_(watchdog ? now : kNever) {}

  void on_ready() { is_ready_ = true; }
  /// A reload begins, and ends at once or later. Before the first on_ready it is part of the start.
  void on_reload_begin(Instant now);
  void on_reload_end() { is_reloading_ = false; }
  void on_stopping() { is_stopping_ = true; }
  /// One line; line ends in it become blanks.
  void on_status(std::string_view text);

  /// What is to be sent now; empty when nothing is. The same until `on_sent`. Borrowed until the next call.
  [[nodiscard]] std::string_view next(Instant now);
  /// What became of the last `next`: again later when it could not be sent.
  void on_sent(Instant now, bool done);
  /// When `next` will have something by time alone.
  [[nodiscard]] Instant next_deadline() const;

 private:
  enum class State : std::uint8_t { kStarting, kReady, kReloading, kStopping };
  enum class What : std::uint8_t { kNothing, kState, kStatus, kWatchdog };
  [[nodiscard]] State wanted() const;
  [[nodiscard]] What due(Instant now) const;
  void write(std::string_view line);

  std::optional<Duration> watchdog_;
  Instant watchdog_at_;
  bool is_ready_ = false;
  bool is_reloading_ = false;
  bool reload_untold_ = false;  // Although it may be over.
  bool is_stopping_ = false;
  Instant reload_began_{};
  State told_ = State::kStarting;
  FixedString<kStatusMax> status_;
  bool status_untold_ = false;
  Instant status_not_before_{};
  Duration retry_ = kRetryMin;
  Instant not_before_{};  // After a failure.
  What sending_ = What::kNothing;
  State sending_state_ = State::kStarting;
  FixedString<kDatagramMax> datagram_;
};

}  // namespace shoal::admin
