// Whether a running shoal is well, judged from plain facts. Two questions, for two kinds of platform decision:
//
//   health   may the platform let it live? Latched: it is not to kill tasks because HAProxy or a sidecar is redeployed.
//   ready    does traffic arrive now? Strict, and changes with every cause.
//
//   task               health                                          ready
//   before rotation    red, until it has been in rotation once in      red
//                      health.min_proxies HAProxies at the same time
//   serving            green                                           green while that many have it in rotation, one
//                                                                      at the least
//   worker starts      green once it has been in rotation: a restart   red
//   unhealthy          red                                             red
//   worker ended       red, also while a new one waits to be started   red
//   stopping           green: the platform has asked for it, or its    red
//                      SIGTERM is next
//
//   sidecar            health                                          ready
//   no gossip yet      red                                             red
//   running            green, whatever HAProxy does                    green while every socket is connected and its
//                                                                      table was compared lately
//   supervising        red until HAProxy has answered once, and when   the same
//                      none has run for a minute
//   stopping           green                                           red
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/time.h"

namespace shoal::admin {

/// {"healthy": false, "reason": "the worker is not ready yet"}
struct Health {
  bool healthy = false;
  std::string reason;  // For people; also when it is well.
};
[[nodiscard]] std::string to_json(const Health& health);
[[nodiscard]] bool from_json(std::string_view text, Health& out);

enum class WorkerPhase : std::uint8_t {
  kNone,      // Not started yet.
  kStarting,  // It runs, or is about to, and has not been ready.
  kReady,
  kUnhealthy,  // Its own health probe says so.
  kGone,       // Ended: none takes its place, or only after a pause.
};

struct TaskFacts {
  WorkerPhase worker = WorkerPhase::kNone;
  bool stopping = false;      // A stop was asked for.
  std::uint32_t proxies = 0;  // That have the task in rotation.
  std::string_view why_not;   // What keeps it out, as far as a sidecar said. May be empty.
};

class TaskHealth {
 public:
  explicit TaskHealth(std::uint32_t min_proxies) : min_proxies_(min_proxies) {}

  /// To be told whenever it may have changed. Allocates nothing.
  void observe(WorkerPhase worker, std::uint32_t proxies) {
    latched_ = latched_ || (worker == WorkerPhase::kReady && proxies >= min_proxies_);
  }
  /// It has been where it should be once.
  [[nodiscard]] bool is_latched() const { return latched_; }

  [[nodiscard]] Health health(const TaskFacts& facts) const;
  [[nodiscard]] Health ready(const TaskFacts& facts) const;

 private:
  [[nodiscard]] Health missing(const TaskFacts& facts, std::uint32_t wanted) const;

  std::uint32_t min_proxies_;
  bool latched_ = false;
};

/// One HAProxy of a sidecar.
struct ProxyFacts {
  std::string_view socket;
  bool up = false;
  bool was_up = false;
  std::string_view down_text;          // Why not.
  std::optional<Duration> compared;    // Since its whole table was last compared.
  std::optional<Duration> nobody_for;  // For so long nobody has listened on the socket: no process is left.
};

struct SidecarFacts {
  bool gossips = false;
  bool stopping = false;
  bool supervises = false;  // The first HAProxy is shoal's own: the container is HAProxy.
  Duration reconcile_interval{};
  std::span<const ProxyFacts> proxies;
};

/// No HAProxy for so long in a container that is to run one. Longer than the longest wait before it is started again.
inline constexpr Duration kNoProxyMost = 60s;
/// A comparison is fresh for three intervals and so much more: one may be late, and HAProxy may take its time.
inline constexpr Duration kComparisonSlack = 2s;

[[nodiscard]] Health sidecar_health(const SidecarFacts& facts);
[[nodiscard]] Health sidecar_ready(const SidecarFacts& facts);

}  // namespace shoal::admin
